/** What is asked for again in the background once it is old: only the first answer is waited for. */
export class Renewed<T> {
  readonly #ask: () => Promise<T>;
  #answer: { value: T; at: number } | undefined;
  #asking: Promise<void> | undefined;

  constructor(ask: () => Promise<T>) {
    this.#ask = ask;
  }

  /**
   * The newest answer, and when it was asked for (milliseconds since the epoch); undefined where there never was one.
   *
   * @param maxAgeMs - after which it is asked for again
   */
  async value(maxAgeMs: number): Promise<{ value: T; at: number } | undefined> {
    if (this.#answer === undefined || Date.now() - this.#answer.at >= maxAgeMs) {
      this.#asking ??= this.#renew().finally(() => (this.#asking = undefined));
      if (this.#answer === undefined) await this.#asking;
    }
    return this.#answer;
  }

  async #renew(): Promise<void> {
    const at = Date.now();
    // What doesn't answer is another's to tell: what was known of it stands until it is too old to compare.
    const value = await this.#ask().catch(() => undefined);
    if (value !== undefined) this.#answer = { value, at };
  }
}
