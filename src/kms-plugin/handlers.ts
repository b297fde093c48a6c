import { create } from '@bufbuild/protobuf';
import { status, type handleUnaryCall, type ServerUnaryCall } from '@grpc/grpc-js';
import { kmsV2LimitProblem, kmsV2Limits } from '../envelope/limits.ts';
import { type SealedDek } from '../keys/dek-sealer.ts';
import { KeyServiceError, type KeyServiceErrorKind } from '../keys/key-service.ts';
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

/** The longest a request is worked on when its caller sets no deadline, or a later one. */
const longestMs = 10_000;

/** A refusal as it goes over the wire. */
interface Refusal {
  readonly code: status;
  readonly details: string;
}

const codes: Readonly<Record<KeyServiceErrorKind, status>> = {
  unavailable: status.UNAVAILABLE,
  timeout: status.DEADLINE_EXCEEDED,
  denied: status.PERMISSION_DENIED,
  'not-found': status.NOT_FOUND,
  'wrong-key': status.INVALID_ARGUMENT,
  invalid: status.INVALID_ARGUMENT,
};

/** What was asked and what came of it: the gRPC status by name, and how long it took. */
export type OnAnswered = (call: string, code: string, seconds: number) => void;

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
      if (plaintext.length === 0) throw invalid('the plaintext is empty');
      if (plaintext.length >= kmsV2Limits.dekSourceBytes)
        throw invalid(`the plaintext has ${plaintext.length} bytes, too many`);
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

/** @throws what the API server would refuse, or has no business sending */
function checkLimits({ ciphertext, keyId, annotations }: SealedDek): void {
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

function unary<Req extends object, Res>(
  name: string,
  answer: (request: Req, signal: AbortSignal) => Promise<Res>,
  log: Logger,
  answered: OnAnswered | undefined,
): handleUnaryCall<Req, Res> {
  return (call, callback) => {
    const started = performance.now();
    const { signal, done } = deadlineOf(call);
    const fields = () => ({
      call: name,
      uid: uidOf(call.request),
      ms: Math.round(performance.now() - started),
    });
    answer(call.request, signal)
      .then((response) => {
        if (name === 'Status') log.debug(fields(), 'answered');
        else log.info(fields(), 'answered');
        answered?.(name, status[status.OK], secondsSince(started));
        callback(null, response);
      })
      .catch((error: unknown) => {
        const refused = refusalOf(error);
        log.warn({ ...fields(), grpcStatus: status[refused.code], reason: refused.details }, 'refused');
        answered?.(name, status[refused.code], secondsSince(started));
        callback(refused);
      })
      .finally(done);
  };
}

/**
 * Aborts when the caller hangs up, and a little before its deadline: an answer that says what was waited for is worth
 * more to it than a bare DEADLINE_EXCEEDED.
 */
function deadlineOf<Req, Res>(call: ServerUnaryCall<Req, Res>): { signal: AbortSignal; done: () => void } {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const remaining = Number(call.getDeadline()) - Date.now();
  const timer = setTimeout(abort, Math.max(0, Math.min(remaining * 0.9, longestMs)));
  call.on('cancelled', abort);
  return {
    signal: controller.signal,
    done: () => {
      clearTimeout(timer);
      call.off('cancelled', abort);
    },
  };
}

function secondsSince(started: number): number {
  return (performance.now() - started) / 1_000;
}

/** As the API server gave it; bounded, for it ends in the log. */
function uidOf(request: object): string | undefined {
  return 'uid' in request && typeof request.uid === 'string' ? request.uid.slice(0, 128) : undefined;
}

function invalid(details: string): Error & Refusal {
  return refusal(status.INVALID_ARGUMENT, details);
}

function refusal(code: status, details: string): Error & Refusal {
  return Object.assign(new Error(details), { code, details });
}

function isRefusal(error: unknown): error is Refusal {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error;
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof KeyServiceError) {
    return { code: codes[error.kind], details: `${error.message} (${error.remedy})`.slice(0, 900) };
  }
  if (isRefusal(error)) return { code: error.code, details: error.details };
  // A defect. Its message isn't passed on, for nobody has checked it for secrets.
  return {
    code: status.INTERNAL,
    details: `a defect in keyferry (${error instanceof Error ? error.name : typeof error})`,
  };
}
