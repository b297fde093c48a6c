/**
 * The `code` of an error of Node's or the system's (`ENOENT`, `ECONNREFUSED`), `undefined` for anything else. Doesn't ask
 * whether it is an `Error`: those of Node's core belong to another realm where tests run.
 */
export function systemErrorCode(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}
