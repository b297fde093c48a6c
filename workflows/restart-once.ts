interface Restarts {
  readonly state: { readonly restarted: Record<string, string> };
  patch(change: { restarted: Record<string, string> }): void;
}

/**
 * Restarts a server for a file, and remembers that: one that a restart didn't help isn't restarted again and again; it
 * needs a person, and serves meanwhile. A restart that came to nothing isn't remembered: the step was stopped before
 * anybody took it up, for a pause or because the history is long, or nobody was there.
 *
 * @param hash - of the file
 * @param restart - throws where it isn't known that the server was asked to
 */
export async function restartOnce(
  run: Restarts,
  server: string,
  hash: string,
  restart: () => Promise<void>,
): Promise<void> {
  const remember = (file: string): void =>
    run.patch({ restarted: { ...run.state.restarted, [server]: file } });
  remember(hash);
  try {
    await restart();
  } catch (error) {
    // Nor what was remembered before: a person may have turned it round meanwhile, to just that file.
    remember('');
    throw error;
  }
}
