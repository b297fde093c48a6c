/** What an object may hold: a content hash, or `absent`. */
export type Content = string;

export const ABSENT = 'absent';

/**
 * What one object of the journal may hold, as far as the answers tell.
 *
 * One content after an acknowledged request; more after one whose outcome is unknown, for it may have been carried out
 * or not. Updates and deletes name the resourceVersion they were made from, and names are never used twice: so of all
 * requests without an answer one at most can land, and none any more once a later one was acknowledged.
 */
export class JournalEntry {
  readonly name: string;
  /** The last content that was certain, then those that requests without an answer would have made of it. */
  #possible: readonly Content[] = [ABSENT];
  #gone = false;
  /** Of the last content seen or acknowledged; undefined when it has to be read before the next write. */
  resourceVersion: string | undefined;

  constructor(name: string) {
    this.name = name;
  }

  get possible(): readonly Content[] {
    return this.#possible;
  }

  /** It was last found or made absent; nothing more is written to it. */
  get gone(): boolean {
    return this.#gone;
  }

  acknowledged(content: Content, resourceVersion: string | undefined): void {
    this.#possible = [content];
    this.#found(content, resourceVersion);
  }

  unknown(content: Content): void {
    this.#possible = [...new Set([...this.#possible, content])];
    this.resourceVersion = undefined;
  }

  /**
   * Takes in what a read found. If it isn't the last certain content, then a request landed, and it is final. If it is,
   * a request may yet land: both stay possible.
   *
   * @returns false when it can't be: a write was lost, or a strange one was made
   */
  seen(content: Content, resourceVersion: string | undefined): boolean {
    if (!this.#possible.includes(content)) return false;
    if (content !== this.#possible[0]) this.#possible = [content];
    this.#found(content, resourceVersion);
    return true;
  }

  #found(content: Content, resourceVersion: string | undefined): void {
    this.#gone = content === ABSENT;
    this.resourceVersion = resourceVersion;
  }
}
