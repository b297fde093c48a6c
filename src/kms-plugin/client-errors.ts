import { access, constants, stat } from 'node:fs/promises';
import { status } from '@grpc/grpc-js';
import { KeyferryError } from '../errors.ts';
import { systemErrorCode } from '../keys/system-error.ts';

interface Call {
  readonly call: string;
  readonly socket: string;
  readonly timeoutMs: number;
}

const refusals: ReadonlySet<number> = new Set([
  status.INVALID_ARGUMENT,
  status.FAILED_PRECONDITION,
  status.NOT_FOUND,
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
  status.OUT_OF_RANGE,
]);

/**
 * Says what a failed gRPC call means and what to do. The error of grpc-js is not kept: its metadata and stack say nothing
 * more, and what a plugin puts there is not ours to pass on.
 */
export async function explainCallError(
  error: unknown,
  { call, socket, timeoutMs }: Call,
): Promise<KeyferryError> {
  const code = codeOf(error);
  if (code === (status.DEADLINE_EXCEEDED as number)) {
    return new KeyferryError(
      'TimeoutPlugin',
      `the KMS plugin at ${socket} did not do ${call} within ${timeoutMs} ms: ${detailsOf(error)}`,
      {
        remedy: "look into the plugin's log for what it waits for (its key service, most likely)",
        retryable: true,
      },
    );
  }
  if (code === (status.UNAVAILABLE as number)) {
    return (await socketProblem(socket)) ?? unavailable(socket, call, detailsOf(error));
  }
  if (code === (status.UNIMPLEMENTED as number)) {
    return new KeyferryError(
      'PluginNotV2',
      `what listens at ${socket} does not speak KMS v2 (${call} is not there)`,
      {
        remedy: 'point the endpoint at a KMS v2 plugin; kms v1 plugins speak another protocol',
      },
    );
  }
  if (refusals.has(code)) {
    return new KeyferryError(
      'PluginRefused',
      `the KMS plugin at ${socket} refused ${call}: ${detailsOf(error)}`,
      {
        remedy: 'follow what the plugin says; asking again gets the same answer',
      },
    );
  }
  return new KeyferryError(
    'PluginFailed',
    `${call} of the KMS plugin at ${socket} failed (${status[code] ?? code}): ${detailsOf(error)}`,
    { remedy: "look into the plugin's log for the same time", retryable: true },
  );
}

function unavailable(socket: string, call: string, details: string): KeyferryError {
  return new KeyferryError(
    'UnavailablePlugin',
    `the KMS plugin at ${socket} is not available for ${call}: ${details}`,
    {
      remedy: 'check that the plugin runs and that its key service answers',
      retryable: true,
    },
  );
}

/** What the file system says of a socket that couldn't be called; `undefined` when somebody may well listen there. */
async function socketProblem(socket: string): Promise<KeyferryError | undefined> {
  try {
    const entry = await stat(socket);
    if (!entry.isSocket()) {
      return new KeyferryError('UnavailablePluginSocket', `${socket} is not a socket`, {
        remedy: 'point the endpoint at the socket of the KMS plugin',
      });
    }
    await access(socket, constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      return new KeyferryError('UnavailablePluginSocket', `there is no socket at ${socket}`, {
        remedy: 'start the KMS plugin on this node, or correct the path in the endpoint',
        retryable: true,
      });
    }
    if (code === 'EACCES' || code === 'EPERM') {
      return new KeyferryError('UnavailablePluginPermission', `this user may not open the socket ${socket}`, {
        remedy: 'run as the user that owns the socket, or give it read and write permission on it',
      });
    }
    return undefined;
  }
}

function codeOf(error: unknown): number {
  return error instanceof Error && 'code' in error && typeof error.code === 'number'
    ? error.code
    : status.UNKNOWN;
}

/** The plugin's own words, on one line and bounded: they end in logs and on terminals. */
function detailsOf(error: unknown): string {
  const text =
    error instanceof Error && 'details' in error && typeof error.details === 'string' ? error.details : '';
  // eslint-disable-next-line no-control-regex
  const line = text.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim();
  // grpc-js's own words for a deadline on this side, and its internals.
  if (line.startsWith('Deadline exceeded after')) return 'it did not answer';
  return line === '' ? 'no reason given' : line.slice(0, 300);
}
