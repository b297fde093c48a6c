// Writes values at rest with Kubernetes' own transformers, as known answers for the unit tests of src/envelope.
//
//	go run -C lab/servers/kubernetes ../../../src/envelope/vectors/vectors.go >src/envelope/vectors/kubernetes-1.36.3.json
package main

import (
	"bytes"
	"context"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/apiserver/pkg/storage/value"
	aestransformer "k8s.io/apiserver/pkg/storage/value/encrypt/aes"
	"k8s.io/apiserver/pkg/storage/value/encrypt/envelope"
	"k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2"
	"k8s.io/kms/pkg/service"
)

type vector struct {
	// aescbc, aesgcm, secretbox, kms-v1, kms-v2
	Format string `json:"format"`
	// Of the key, or of the kms entry.
	Name    string `json:"name"`
	Payload string `json:"payload,omitempty"`
	// The key; for kms formats, what Decrypt answers for the encrypted DEK source.
	Key       []byte `json:"key"`
	KeyID     string `json:"keyId,omitempty"`
	EtcdKey   string `json:"etcdKey"`
	Plaintext []byte `json:"plaintext"`
	Value     []byte `json:"value"`
}

var ctx = context.Background()

func main() {
	var vectors []vector
	plaintexts := [][]byte{{}, []byte("k8s\x00 fifteen by"), []byte("k8s\x00 sixteen byt"), []byte(`{"kind":"Größe","名":"值"}`), bytes.Repeat([]byte{0}, 1000)}
	etcdKeys := []string{"/registry/secrets/default/a", "/registry/example.com/größen/ns:1/ü%2F"}
	seal := func(v vector, prefix string, transformer value.Transformer) {
		for i, plaintext := range plaintexts {
			v.Plaintext = plaintext
			v.EtcdKey = etcdKeys[i%len(etcdKeys)]
			out, err := transformer.TransformToStorage(ctx, plaintext, value.DefaultContext(v.EtcdKey))
			must(err)
			v.Value = append([]byte(prefix), out...)
			vectors = append(vectors, v)
		}
	}

	for _, format := range []string{"aescbc", "aesgcm", "secretbox"} {
		for _, size := range []int{16, 24, 32} {
			if format == "secretbox" && size != 32 {
				continue
			}
			key := bytes.Repeat([]byte{byte(size)}, size)
			name := fmt.Sprintf("key:%d é", size)
			seal(vector{Format: format, Name: name, Key: key}, "", configured(format, name, key))
		}
	}

	for _, payload := range []string{"aes-gcm", "aes-cbc"} {
		base := func(block cipher.Block) (value.Transformer, error) {
			if payload == "aes-cbc" {
				return aestransformer.NewCBCTransformer(block), nil
			}
			return aestransformer.NewGCMTransformer(block)
		}
		// Each value has a DEK of its own, which the plugin is shown.
		for i, plaintext := range plaintexts {
			recorder := &v1Service{}
			transformer := envelope.NewEnvelopeTransformer(recorder, 0, base)
			etcdKey := etcdKeys[i%len(etcdKeys)]
			out, err := transformer.TransformToStorage(ctx, plaintext, value.DefaultContext(etcdKey))
			must(err)
			vectors = append(vectors, vector{Format: "kms-v1", Name: "old:kms", Payload: payload, Key: recorder.dek, EtcdKey: etcdKey,
				Plaintext: plaintext, Value: append([]byte("k8s:enc:kms:v1:old:kms:"), out...)})
		}
	}
	for _, useSeed := range []bool{true, false} {
		recorder := &v2Service{}
		transformer, object, cacheKey, err := kmsv2.GenerateTransformer(ctx, "uid", recorder, useSeed)
		must(err)
		state := kmsv2.State{Transformer: transformer, EncryptedObjectKeyID: object.KeyID, EncryptedObjectEncryptedDEKSource: object.EncryptedDEKSource,
			EncryptedObjectAnnotations: object.Annotations, EncryptedObjectEncryptedDEKSourceType: object.EncryptedDEKSourceType,
			ExpirationTimestamp: time.Now().Add(time.Hour), CacheKey: cacheKey, KMSProviderName: "vault"}
		envelopeTransformer := kmsv2.NewEnvelopeTransformer(recorder, "vault", func() (kmsv2.State, error) { return state, nil }, "")
		payload := "aes-gcm-key"
		if useSeed {
			payload = "hkdf-sha256-seed"
		}
		seal(vector{Format: "kms-v2", Name: "vault", Payload: payload, Key: recorder.dek, KeyID: object.KeyID}, "k8s:enc:kms:v2:vault:", envelopeTransformer)
	}

	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	must(encoder.Encode(map[string]any{"values": vectors, "changed": changedAesCbc()}))
}

// A value that was changed, and what aescbc, which authenticates nothing, opens it as.
type changed struct {
	Value []byte `json:"value"`
	// null where it is refused.
	Opens *[]byte `json:"opens"`
}

// Every last byte that padding can have, and blocks that were cut off.
func changedAesCbc() []changed {
	key := bytes.Repeat([]byte{32}, 32)
	transformer := configured("aescbc", "k", key)
	var all []changed
	add := func(value []byte) {
		var opens *[]byte
		if out, _, err := transformer.TransformFromStorage(ctx, value, nil); err == nil {
			opens = &out
		}
		all = append(all, changed{Value: value, Opens: opens})
	}
	sealed, err := transformer.TransformToStorage(ctx, []byte("not a whole block"), nil)
	must(err)
	for by := range 256 {
		value := bytes.Clone(sealed)
		value[len(value)-17] ^= byte(by)
		add(value)
	}
	for _, padding := range []byte{1, 16, 17, 32, 33, 48, 255} {
		sealed, err := transformer.TransformToStorage(ctx, bytes.Repeat([]byte{padding}, 256), nil)
		must(err)
		// The block of padding, and more.
		for blocks := 1; blocks <= 16; blocks++ {
			add(sealed[:len(sealed)-16*blocks])
		}
		add(sealed[:len(sealed)-1])
	}
	return all
}

// A transformer as kube-apiserver builds it from a file.
func configured(format, name string, key []byte) value.Transformer {
	dir, err := os.MkdirTemp("", "vectors")
	must(err)
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "config.json")
	quoted, err := json.Marshal(name)
	must(err)
	text := fmt.Sprintf(`{"apiVersion":"apiserver.config.k8s.io/v1","kind":"EncryptionConfiguration","resources":[{"resources":["secrets"],"providers":[{%q:{"keys":[{"name":%s,"secret":%q}]}}]}]}`,
		format, quoted, base64.StdEncoding.EncodeToString(key))
	must(os.WriteFile(file, []byte(text), 0o600))
	config, err := encryptionconfig.LoadEncryptionConfig(ctx, file, false, "")
	must(err)
	return config.Transformers[schema.GroupResource{Resource: "secrets"}]
}

type v1Service struct{ dek []byte }

func (s *v1Service) Encrypt(data []byte) ([]byte, error) {
	s.dek = bytes.Clone(data)
	return []byte("sealed by a kms v1 plugin"), nil
}
func (s *v1Service) Decrypt(data []byte) ([]byte, error) { return s.dek, nil }

type v2Service struct{ dek []byte }

func (s *v2Service) Encrypt(_ context.Context, _ string, data []byte) (*service.EncryptResponse, error) {
	s.dek = bytes.Clone(data)
	return &service.EncryptResponse{Ciphertext: []byte("sealed by a kms v2 plugin"), KeyID: "key-1 é",
		Annotations: map[string][]byte{"version.example.com": {3}, "empty.example.com": {}}}, nil
}
func (s *v2Service) Decrypt(context.Context, string, *service.DecryptRequest) ([]byte, error) {
	return s.dek, nil
}
func (s *v2Service) Status(context.Context) (*service.StatusResponse, error) {
	return &service.StatusResponse{Version: "v2", Healthz: "ok", KeyID: "key-1 é"}, nil
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
