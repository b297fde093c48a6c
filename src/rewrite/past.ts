/** What lies further back isn't compared with: a migration may have stood still in between. */
const PAST_MS = 60_000;

/** What was seen of all of a kind at one time, in milliseconds since the epoch. */
export interface Seen<T> {
  at: number;
  loads: readonly T[];
}

/** How fast what members have in use grows, from one status to the next. */
export class Growth {
  readonly #last = new Map<string, { at: number; bytes: number; perSecond?: number }>();

  /** @returns bytes a second; undefined where there was no status before, or it is long ago */
  of(endpoint: string, at: number, bytes: number): number | undefined {
    const last = this.#last.get(endpoint);
    if (last?.at === at) return last.perSecond;
    const near = last !== undefined && at - last.at <= PAST_MS;
    const perSecond = near ? ((bytes - last.bytes) * 1000) / (at - last.at) : undefined;
    this.#last.set(endpoint, { at, bytes, ...(perSecond === undefined ? {} : { perSecond }) });
    return perSecond;
  }
}

/** Keeps of each the look before the newest, and the first one. */
export class Past<T> {
  readonly #nameOf: (load: T) => string;
  readonly #first = new Map<string, T>();
  #newest: Seen<T> | undefined;
  #before: Seen<T> | undefined;

  constructor(nameOf: (load: T) => string) {
    this.#nameOf = nameOf;
  }

  /** @param seen - the newest look, or once more the one that was the newest */
  compared(seen: Seen<T>): { now: T; before: T | undefined; first: T | undefined }[] {
    if (seen.at !== this.#newest?.at) this.#before = this.#newest;
    this.#newest = seen;
    const near = this.#before !== undefined && seen.at - this.#before.at <= PAST_MS;
    return seen.loads.map((now) => {
      const name = this.#nameOf(now);
      const first = this.#first.get(name) ?? now;
      this.#first.set(name, first);
      const before = near ? this.#before?.loads.find((one) => this.#nameOf(one) === name) : undefined;
      return { now, before, first };
    });
  }
}
