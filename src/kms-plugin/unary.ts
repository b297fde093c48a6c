import { status, type handleUnaryCall, type ServerUnaryCall } from '@grpc/grpc-js';
import { KeyServiceError, type KeyServiceErrorKind } from '../keys/key-service.ts';
import { type Logger } from '../telemetry/logger.ts';

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

/** Asked all the time. */
const quiet: ReadonlySet<string> = new Set(['Status', 'Versions']);

/** Answers one call within its deadline; logs a line without content, and turns what is thrown into a gRPC status. */
export function unary<Req extends object, Res>(
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
        if (quiet.has(name)) log.debug(fields(), 'answered');
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

export function invalid(details: string): Error & Refusal {
  return refusal(status.INVALID_ARGUMENT, details);
}

export function refusal(code: status, details: string): Error & Refusal {
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
