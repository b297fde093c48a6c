import { createHmac } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { secretOf } from './aes.ts';
import { openAesGcm, sealAesGcm } from './aesgcm.ts';
import { EnvelopeError } from './errors.ts';
import { EncryptedObjectSchema } from './gen/encrypted-object_pb.ts';
import { dekSourceTypeOf } from './header.ts';
import { kmsV2LimitProblem } from './limits.ts';
import { freshNonce } from './nonces.ts';
import { kmsV2Prefix } from './prefixes.ts';
import { type DekSourceType } from './types.ts';

const seedBytes = 32;
const infoBytes = 32;

/** A kms v2 value taken apart; nothing is decrypted yet. The buffers are views of the value. */
export interface KmsV2Object {
  readonly providerName: string;
  readonly keyId: string;
  readonly dekSourceType: DekSourceType;
  readonly encryptedDekSource: Buffer;
  readonly annotations: Readonly<Record<string, Buffer>>;
  readonly encryptedData: Buffer;
}

/** What {@link sealKmsV2} makes a value of. */
export interface KmsV2Seal {
  /** The name of the kms entry in the EncryptionConfiguration. */
  readonly providerName: string;
  /** The full key in etcd, e.g. `/registry/secrets/default/a`; the value opens under no other. */
  readonly etcdKey: string | Buffer;
  readonly plaintext: Buffer;
  /** The DEK seed in the clear, at least 32 random bytes. One seed may seal any number of values. */
  readonly seed: Buffer;
  /** Key id, encrypted seed and annotations as the plugin's Encrypt answered for this seed. */
  readonly keyId: string;
  readonly encryptedDekSource: Buffer;
  readonly annotations?: Readonly<Record<string, Buffer>>;
}

/** What {@link sealKmsV2WithKey} makes a value of: the plugin encrypted the AES key itself. */
export interface KmsV2KeySeal extends Omit<KmsV2Seal, 'seed'> {
  /** The AES key in the clear. */
  readonly dek: Buffer;
  /** Of this key alone, for as long as it is used. */
  readonly nonces: CounterNonces;
}

/**
 * Seals an object as a kms v2 provider of Kubernetes 1.29 and later does: a fresh AES-256-GCM key per value, expanded
 * from the seed with 32 random bytes of info; the etcd key is authenticated with it.
 *
 * @returns the value for etcd, prefix included
 * @throws EnvelopeError `EnvelopeLimit` when the API server would refuse the result
 */
export function sealKmsV2({ seed, ...seal }: KmsV2Seal): Buffer {
  const info = freshNonce(infoBytes);
  const data = sealAesGcm(seal.plaintext, expandSeed(seed, info), aad(seal.etcdKey));
  return encode(seal, Buffer.concat([info, data]), 'hkdf-sha256-seed');
}

/**
 * Seals an object as Kubernetes before 1.29 did: under the AES key itself, with a nonce that counts. What is current writes
 * by {@link sealKmsV2}.
 *
 * @returns the value for etcd, prefix included
 * @throws EnvelopeError `EnvelopeLimit` when the API server would refuse the result
 */
export function sealKmsV2WithKey({ dek, nonces, ...seal }: KmsV2KeySeal): Buffer {
  return encode(seal, sealAesGcm(seal.plaintext, dek, aad(seal.etcdKey), nonces.next()), 'aes-gcm-key');
}

/**
 * Nonces of one AES key, none twice: 4 random bytes ‖ a counter of 8 bytes, little-endian. It begins at 1,000,000,001 as
 * kube-apiserver's does, and belongs to one process: another that has the same key counts the same numbers.
 */
export class CounterNonces {
  #count = 1_000_000_000n;

  next(): Buffer {
    const nonce = freshNonce(12);
    nonce.writeBigUInt64LE(++this.#count, 4);
    return nonce;
  }
}

function encode(seal: Omit<KmsV2Seal, 'seed'>, encryptedData: Buffer, dekSourceType: DekSourceType): Buffer {
  if (seal.providerName === '' || seal.providerName.includes(':')) {
    throw new EnvelopeError(
      'EnvelopeLimit',
      `a kms v2 provider can't be named ${JSON.stringify(seal.providerName)}`,
    );
  }
  const object = create(EncryptedObjectSchema, {
    encryptedData,
    keyId: seal.keyId,
    encryptedDekSource: seal.encryptedDekSource,
    annotations: { ...seal.annotations },
    encryptedDekSourceType: dekSourceType === 'hkdf-sha256-seed' ? 1 : 0,
  });
  checkLimits(object);
  return Buffer.concat([
    Buffer.from(kmsV2Prefix(seal.providerName)),
    toBinary(EncryptedObjectSchema, object),
  ]);
}

/**
 * Takes a kms v2 value apart, so that its DEK source can be decrypted by the plugin.
 *
 * @throws EnvelopeError `EnvelopeMalformed`, or `EnvelopeLimit` where the API server refuses to read it
 */
export function decodeKmsV2(value: Buffer): KmsV2Object {
  const start = kmsV2Prefix('').length - 1;
  const end = value.indexOf(0x3a, start);
  if (value.toString('latin1', 0, start) !== 'k8s:enc:kms:v2:' || end <= start) {
    throw new EnvelopeError('EnvelopeMalformed', 'the value does not start with k8s:enc:kms:v2:<name>:');
  }
  const object = decodeObject(value.subarray(end + 1));
  checkLimits(object);
  const dekSourceType = dekSourceTypeOf(object.encryptedDekSourceType);
  if (dekSourceType === undefined) {
    throw new EnvelopeError('EnvelopeMalformed', `unknown DEK source type ${object.encryptedDekSourceType}`);
  }
  return {
    providerName: value.toString('utf8', start, end),
    keyId: object.keyId,
    dekSourceType,
    encryptedDekSource: view(object.encryptedDekSource),
    annotations: Object.fromEntries(
      Object.entries(object.annotations).map(([name, bytes]) => [name, view(bytes)]),
    ),
    encryptedData: view(object.encryptedData),
  };
}

/**
 * Opens a value taken apart by {@link decodeKmsV2}.
 *
 * @param dekSource - the plugin's answer for `encryptedDekSource`: the seed, or the AES key itself, by `dekSourceType`
 * @returns the object as identity would have stored it
 * @throws EnvelopeError `EnvelopeNotAuthentic` under another DEK, another etcd key, or after any change of the data
 */
export function openKmsV2(object: KmsV2Object, etcdKey: string | Buffer, dekSource: Buffer): Buffer {
  const data = object.encryptedData;
  if (object.dekSourceType === 'aes-gcm-key') return openAesGcm(data, dekSource, aad(etcdKey));
  if (data.length < infoBytes) {
    throw new EnvelopeError('EnvelopeMalformed', `the encrypted data has ${data.length} bytes, too few`);
  }
  const key = expandSeed(dekSource, data.subarray(0, infoBytes));
  return openAesGcm(data.subarray(infoBytes), key, aad(etcdKey));
}

/** HKDF-Expand (RFC 5869) of SHA-256 for its first 32 bytes: one HMAC. Kubernetes does no Extract. */
function expandSeed(seed: Buffer, info: Buffer): Buffer {
  if (seed.length < seedBytes) {
    throw new EnvelopeError(
      'EnvelopeLimit',
      `the DEK seed has ${seed.length} bytes, fewer than ${seedBytes}`,
    );
  }
  return createHmac('sha256', secretOf(seed)).update(info).update(Buffer.of(1)).digest();
}

function aad(etcdKey: string | Buffer): Buffer {
  return typeof etcdKey === 'string' ? Buffer.from(etcdKey) : etcdKey;
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function decodeObject(bytes: Buffer) {
  try {
    return fromBinary(EncryptedObjectSchema, bytes);
  } catch {
    throw new EnvelopeError('EnvelopeMalformed', 'what follows the prefix is not a protobuf message');
  }
}

function checkLimits(object: {
  keyId: string;
  encryptedDekSource: Uint8Array;
  encryptedData: Uint8Array;
  annotations: Readonly<Record<string, Uint8Array>>;
}): void {
  const annotations = Object.entries(object.annotations);
  const problem = kmsV2LimitProblem({
    keyIdBytes: Buffer.byteLength(object.keyId),
    dekSourceBytes: object.encryptedDekSource.length,
    encryptedDataBytes: object.encryptedData.length,
    annotationNames: annotations.map(([name]) => name),
    annotationBytes: annotations.reduce(
      (sum, [name, bytes]) => sum + Buffer.byteLength(name) + bytes.length,
      0,
    ),
  });
  if (problem !== undefined) throw new EnvelopeError('EnvelopeLimit', problem);
}
