/** What a test has put up, to be taken down in the reverse order, whatever happened in between. */
export class CleanUp {
  readonly #undo: (() => Promise<unknown>)[] = [];

  /** Remembers how to take something down, and hands it back. */
  keep<T>(thing: T, undo: (thing: T) => Promise<unknown>): T {
    this.#undo.push(() => undo(thing));
    return thing;
  }

  async run(): Promise<void> {
    const errors: unknown[] = [];
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) {
      await undo().catch((error: unknown) => errors.push(error));
    }
    if (errors.length > 0) throw new AggregateError(errors, 'not everything could be taken down');
  }
}
