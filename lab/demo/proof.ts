import { type Narrator } from './narrator.ts';

/** What the demo claims, each claim with the figures that bear it out. */
export class Proof {
  readonly #claims: { readonly holds: boolean; readonly text: string }[] = [];

  claim(holds: boolean, text: string): void {
    this.#claims.push({ holds, text });
  }

  /** Tells every claim, and answers with those that don't hold. */
  tell(narrator: Narrator): string[] {
    for (const { holds, text } of this.#claims) {
      if (holds) narrator.passed(text);
      else narrator.failed(text);
    }
    return this.#claims.filter(({ holds }) => !holds).map(({ text }) => text);
  }
}
