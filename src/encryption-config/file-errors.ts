import { KeyferryError } from '../errors.ts';

/** The errno that a failed system call has ("ENOENT"). */
export function errnoOf(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

interface Explanation {
  readonly code: string;
  readonly why: string;
  readonly remedy: string;
  readonly retryable?: boolean;
}

const notReadable: Explanation = {
  code: 'FileNotReadable',
  why: 'keyferry may not read it',
  remedy: 'Run the agent as root, or as the owner of the file.',
};

const notWritable: Explanation = {
  code: 'FileNotWritable',
  why: 'keyferry may not write into its directory, or give a file the owner of the old one',
  remedy: 'Run the agent as root, and let it write into the directory of the file.',
};

/** By errno. Those not listed are told as they come. */
const explanations: Record<string, Explanation> = {
  ENOENT: {
    code: 'FileNotFound',
    why: 'it is not there',
    remedy: 'Check the path, and that the directory is mounted.',
  },
  ENOTDIR: { code: 'FileNotFound', why: 'a part of the path is not a directory', remedy: 'Check the path.' },
  ELOOP: { code: 'FileNotFound', why: 'its symbolic links lead in a circle', remedy: 'Check the links.' },
  EISDIR: { code: 'FileIsDirectory', why: 'it is a directory', remedy: 'Give the path of the file itself.' },
  EROFS: {
    code: 'FileSystemReadOnly',
    why: 'its file system is mounted read-only',
    remedy: 'Mount the directory read-write in the agent.',
  },
  ENOSPC: {
    code: 'FileSystemFull',
    why: 'no space is left',
    remedy: 'Free some space on the node.',
    retryable: true,
  },
  EDQUOT: {
    code: 'FileSystemFull',
    why: 'the quota is used up',
    remedy: 'Raise the quota.',
    retryable: true,
  },
  ETXTBSY: {
    code: 'FileBusy',
    why: 'it is in use',
    remedy: 'Try again; find who holds it with fuser.',
    retryable: true,
  },
};

/** An errno as an error that says what to do. The file was left as it was. */
export function fileError(error: unknown, verb: 'read' | 'replace' | 'remove', path: string): KeyferryError {
  if (error instanceof KeyferryError) return error;
  const errno = errnoOf(error) ?? 'unknown error';
  const denied = verb === 'read' ? notReadable : notWritable;
  const found = errno === 'EACCES' || errno === 'EPERM' ? denied : explanations[errno];
  const { code, why, remedy, retryable } = found ?? {
    code: 'FileFailed',
    why: errno,
    remedy: 'Look at the node: its disk, its mounts, its kernel log.',
    retryable: true,
  };
  return new KeyferryError(
    code,
    `${path} can't be ${{ read: 'read', replace: 'replaced', remove: 'removed' }[verb]}: ${why}.`,
    {
      remedy,
      retryable: retryable ?? false,
      cause: error,
    },
  );
}
