import { openAesCbc } from './aescbc.ts';
import { openAesGcm } from './aesgcm.ts';
import { EnvelopeError } from './errors.ts';

/** A kms v1 value taken apart; nothing is decrypted yet. The buffers are views of the value. */
export interface KmsV1Object {
  readonly encryptedDek: Buffer;
  readonly encryptedData: Buffer;
}

/** How the data of a kms v1 value is encrypted: Kubernetes 1.24 and older wrote AES-CBC. */
export type KmsV1Payload = 'aes-gcm' | 'aes-cbc';

/**
 * Takes a kms v1 value apart: length uint16 BE ‖ encrypted DEK ‖ data.
 *
 * @param body - what comes after the prefix
 * @throws EnvelopeError `EnvelopeMalformed` when it is shorter than it says
 */
export function decodeKmsV1(body: Buffer): KmsV1Object {
  const end = body.length < 2 ? undefined : 2 + body.readUInt16BE(0);
  if (end === undefined || body.length < end) {
    throw new EnvelopeError('EnvelopeMalformed', 'the value is shorter than its encrypted DEK');
  }
  return { encryptedDek: body.subarray(2, end), encryptedData: body.subarray(end) };
}

/**
 * Opens a value taken apart by {@link decodeKmsV1} as kube-apiserver does: as AES-GCM, and where that fails as AES-CBC. **So
 * nothing is authenticated**: a value that was changed, or is read under another etcd key, may open as garbage when its data
 * happens to be whole blocks (see {@link openAesCbc}).
 *
 * @param dek - the plugin's answer for `encryptedDek`: an AES key
 * @throws EnvelopeError `EnvelopeNotAuthentic` when it is neither; `EnvelopeLimit` for a DEK that is no AES key
 */
export function openKmsV1(
  object: KmsV1Object,
  etcdKey: Buffer,
  dek: Buffer,
): { plaintext: Buffer; payload: KmsV1Payload } {
  try {
    return { plaintext: openAesGcm(object.encryptedData, dek, etcdKey), payload: 'aes-gcm' };
  } catch (error) {
    if (!(error instanceof EnvelopeError) || error.code === 'EnvelopeLimit') throw error;
    return openOlder(object, dek, error);
  }
}

function openOlder(object: KmsV1Object, dek: Buffer, asGcm: EnvelopeError) {
  try {
    return { plaintext: openAesCbc(object.encryptedData, dek), payload: 'aes-cbc' as const };
  } catch (error) {
    if (error instanceof EnvelopeError) throw asGcm;
    throw error;
  }
}
