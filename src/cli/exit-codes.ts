/** Exit codes of the CLI, after BSD's sysexits where one fits. Shown by `keyferry --help`. */
export const ExitCode = {
  ok: 0,
  /** The question was answered, and the answer is no: a check failed, objects are left, a migration failed. */
  no: 1,
  /** Wrong arguments. */
  usage: 64,
  /** A document (spec, EncryptionConfiguration) or the input is invalid. */
  invalidInput: 65,
  /** Temporal, the cluster, or a file could not be reached. */
  unavailable: 69,
  /** A defect in keyferry. */
  internal: 70,
  /** The migration refused what was asked (a gate, a second migration of the same cluster). */
  refused: 77,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];
