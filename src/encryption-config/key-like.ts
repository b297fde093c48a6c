/** Stands where key material was. */
export const redacted = '<redacted>';

/**
 * A text of a file without what could be key material wherever it stands, say because a quote is missing: long runs of
 * base64. Lower-case words and socket paths are no keys.
 */
export function hideKeyLike(text: string): string {
  return text.replace(/unix:\/\/[\w./@%-]+|[A-Za-z0-9+/]{20,}={0,2}/g, (run) =>
    run.startsWith('unix://') || /^(?:[a-z/]+|EncryptionConfiguration)$/.test(run) ? run : redacted,
  );
}
