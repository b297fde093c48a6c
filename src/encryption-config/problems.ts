import { type LineCounter } from 'yaml';
import { hideKeyLike } from './key-like.ts';
import type { Problem } from './types.ts';

/** Collects problems and turns offsets into lines and columns. */
export class ProblemList {
  readonly #lines: LineCounter;
  readonly #problems: Problem[] = [];

  constructor(lines: LineCounter) {
    this.#lines = lines;
  }

  error(path: string, at: number, message: string, remedy: string): void {
    this.#add('error', path, at, message, remedy);
  }

  warning(path: string, at: number, message: string, remedy: string): void {
    this.#add('warning', path, at, message, remedy);
  }

  /** In the order of the file. */
  all(): Problem[] {
    return this.#problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
  }

  #add(severity: Problem['severity'], path: string, at: number, message: string, remedy: string): void {
    const { line, col } = this.#lines.linePos(at);
    // linePos answers 0 when the text holds no line at all.
    this.#problems.push({
      path,
      line: Math.max(line, 1),
      column: Math.max(col, 1),
      severity,
      message,
      remedy,
    });
  }
}

/** A value of the file for a message: in a file that went wrong, a key may stand anywhere. */
export function shown(value: string): string {
  return JSON.stringify(hideKeyLike(value));
}
