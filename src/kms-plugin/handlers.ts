import { create } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { kmsV2LimitProblem, kmsV2Limits } from '../envelope/limits.ts';
import { type SealedDek } from '../keys/dek-sealer.ts';
import { KeyServiceError } from '../keys/key-service.ts';
import { type Logger } from '../telemetry/logger.ts';
import {
  DecryptResponseSchema,
  EncryptResponseSchema,
  StatusResponseSchema,
  type DecryptRequest,
  type DecryptResponse,
  type EncryptRequest,
  type EncryptResponse,
  type StatusRequest,
  type StatusResponse,
} from './gen/kms-v2_pb.ts';
import { type ServedKey } from './served-key.ts';
import { kmsV2Protocol } from './service.ts';
import { invalid, refusal, unary, type OnAnswered } from './unary.ts';

/**
 * The three calls of the KMS v2 protocol over one key. Logs one line per Encrypt and Decrypt, with the request's uid and
 * without content.
 */
export function pluginHandlers(key: ServedKey, log: Logger, answered?: OnAnswered) {
  const onStatus = unary<StatusRequest, StatusResponse>(
    'Status',
    async (_request, signal) =>
      create(StatusResponseSchema, { version: kmsV2Protocol.version, ...(await key.health(signal)) }),
    log,
    answered,
  );

  const onEncrypt = unary<EncryptRequest, EncryptResponse>(
    'Encrypt',
    async ({ plaintext }, signal) => {
      checkPlaintext(plaintext);
      const sealed = await orAborted(key.state.seal(Buffer.from(plaintext), signal));
      checkLimits(sealed);
      return create(EncryptResponseSchema, { ...sealed, annotations: { ...sealed.annotations } });
    },
    log,
    answered,
  );

  const onDecrypt = unary<DecryptRequest, DecryptResponse>(
    'Decrypt',
    async ({ ciphertext, keyId, annotations }, signal) => {
      const sealed = {
        ciphertext: Buffer.from(ciphertext),
        keyId,
        annotations: Object.fromEntries(
          Object.entries(annotations).map(([name, bytes]) => [name, Buffer.from(bytes)]),
        ),
      };
      checkLimits(sealed);
      return create(DecryptResponseSchema, { plaintext: await key.opener.open(sealed, signal) });
    },
    log,
    answered,
  );

  return { status: onStatus, encrypt: onEncrypt, decrypt: onDecrypt };
}

/** @throws what no DEK seed is */
export function checkPlaintext({ length }: Uint8Array): void {
  if (length === 0) throw invalid('the plaintext is empty');
  if (length >= kmsV2Limits.dekSourceBytes) throw invalid(`the plaintext has ${length} bytes, too many`);
}

/** @throws what the API server would refuse, or has no business sending */
export function checkLimits({ ciphertext, keyId, annotations }: SealedDek): void {
  const entries = Object.entries(annotations);
  const problem = kmsV2LimitProblem({
    keyIdBytes: Buffer.byteLength(keyId),
    dekSourceBytes: ciphertext.length,
    encryptedDataBytes: 1,
    annotationNames: entries.map(([name]) => name),
    annotationBytes: entries.reduce((sum, [name, { length }]) => sum + Buffer.byteLength(name) + length, 0),
  });
  if (problem !== undefined) throw invalid(problem);
}

/** A version that went away under an Encrypt isn't the caller's mistake: the next Status names the one to use. */
async function orAborted(sealing: Promise<SealedDek>): Promise<SealedDek> {
  try {
    return await sealing;
  } catch (error) {
    if (!(error instanceof KeyServiceError) || error.kind !== 'wrong-key') throw error;
    throw refusal(status.ABORTED, `the current key id can't encrypt any more: ${error.message}`);
  }
}
