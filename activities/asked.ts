import { KeyferryError } from '../src/errors.ts';
import type { Asked } from '../src/plan/preflight.ts';

/** An answer, or the trouble that stood in its way; anything but a KeyferryError is a defect and goes up. */
export async function asked<T>(question: () => Promise<T>): Promise<Asked<T>> {
  try {
    return { answer: await question() };
  } catch (error) {
    if (!(error instanceof KeyferryError)) throw error;
    const { message, remedy, retryable } = error;
    return { trouble: { message, remedy, retryable } };
  }
}
