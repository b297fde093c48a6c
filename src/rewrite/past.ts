/** What lies further back isn't compared with: a migration may have stood still in between. One that stalls looks each 70 s at least. */
const PAST_MS = 90_000;
/** After such a rest what was seen first is what was seen first after it. */
const FIRST_MS = 10 * 60_000;

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

/** Keeps of each the look before the newest, and the first one in which it had settled. */
export class Past<T> {
  readonly #nameOf: (load: T) => string;
  readonly #settled: (load: T, at: number) => boolean;
  readonly #first = new Map<string, T>();
  #newest: Seen<T> | undefined;
  #before: Seen<T> | undefined;

  constructor(nameOf: (load: T) => string, settled: (load: T, at: number) => boolean = () => true) {
    this.#nameOf = nameOf;
    this.#settled = settled;
  }

  /** @param latest - the newest look, or once more one that was known */
  compared(latest: Seen<T>): { now: T; before: T | undefined; first: T | undefined }[] {
    const known = this.#newest;
    // Of two looks at a time the one that began first may end last.
    const seen = known !== undefined && known.at > latest.at ? known : latest;
    const isNew = seen.at !== known?.at;
    if (isNew) this.#before = known;
    this.#newest = seen;
    const rest = seen.at - (this.#before?.at ?? -Infinity);
    const near = rest <= PAST_MS;
    if (isNew && rest > FIRST_MS) this.#first.clear();
    return seen.loads.map((now) => {
      const name = this.#nameOf(now);
      const first = this.#first.get(name) ?? (this.#settled(now, seen.at) ? now : undefined);
      if (first !== undefined) this.#first.set(name, first);
      const before = near ? this.#before?.loads.find((one) => this.#nameOf(one) === name) : undefined;
      return { now, before, first };
    });
  }
}
