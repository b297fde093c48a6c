/** Providers whose keys lie in the EncryptionConfiguration itself. */
export type LocalProvider = 'aescbc' | 'aesgcm' | 'secretbox';

/** How a kms v2 value's DEK comes out of its (decrypted) source. */
export type DekSourceType = 'aes-gcm-key' | 'hkdf-sha256-seed';

/**
 * What a raw etcd value says about itself, without opening it. Nothing of the content is in it.
 *
 * `nameGuessed` is true when the name was read up to the first ':' because no configured name matched: names of these
 * formats may hold ':', so such a name proves nothing.
 */
export type EnvelopeHeader =
  | {
      readonly provider: 'identity';
      /**
       * What the bytes look like. The API server's identity provider reads anything that doesn't start with `k8s:enc:`;
       * whether its decoder then understands it is another question, and for `other` the answer is most likely no.
       */
      readonly encoding: 'protobuf' | 'json' | 'cbor' | 'other';
    }
  | { readonly provider: LocalProvider; readonly keyName: string; readonly nameGuessed: boolean }
  | { readonly provider: 'kms'; readonly version: 'v1'; readonly name: string; readonly nameGuessed: boolean }
  | {
      readonly provider: 'kms';
      readonly version: 'v2';
      readonly name: string;
      readonly keyId: string;
      readonly dekSourceType: DekSourceType;
      /** The first 16 hex digits of the SHA-256 of the encrypted DEK source: tells DEKs apart. */
      readonly dekHash: string;
      /** Names only, in the order of the value. */
      readonly annotations: readonly string[];
    }
  | {
      /** The prefix, or what follows it, isn't anything an API server reads. */
      readonly provider: 'unknown';
      readonly reason: string;
    };

/** A provider of the configuration whose values {@link EnvelopeHeader} is to name exactly. */
export type ConfiguredName =
  | { readonly type: LocalProvider; readonly keyName: string }
  | { readonly type: 'kms-v1'; readonly name: string };

/** Where values are to be: what a first provider writes. Without `keyId`, any key id of that kms provider will do. */
export type EnvelopeTarget =
  | { readonly type: 'identity' }
  | { readonly type: LocalProvider; readonly keyName: string }
  | { readonly type: 'kms'; readonly name: string; readonly keyId?: string };
