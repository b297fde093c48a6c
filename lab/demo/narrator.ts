import { styleText } from 'node:util';
import logUpdate from 'log-update';

/** Columns that running text is kept to: it is read, not scanned. */
const TEXT_WIDTH = 96;

/**
 * What the audience of the demo sees. Colours and redrawing only on a terminal (styleText minds NO_COLOR); elsewhere
 * plain lines.
 */
export class Narrator {
  #sections = 0;
  /** Whether what was printed last ends with an empty line. */
  #gap = true;

  /** Opens a part: what is about to happen, and why it matters. */
  section(title: string, why: string): void {
    this.#sections += 1;
    const heading = `${this.#sections}. ${title}`;
    const rule = '─'.repeat(Math.max(3, TEXT_WIDTH - heading.length - 1));
    this.gap();
    this.#print(`${styleText('bold', heading)} ${styleText('dim', rule)}`);
    this.#print(wrapped(why, ''));
    this.gap();
  }

  say(text: string): void {
    this.#print(wrapped(text, '  '));
  }

  /** Lines that are kept as they are. */
  show(text: string): void {
    this.#print(indented(text));
  }

  /** Commands as they would be typed. */
  typed(...commands: readonly string[]): void {
    this.gap();
    for (const command of commands) this.#print(`  ${styleText('cyan', `$ ${command}`)}`);
  }

  passed(text: string): void {
    this.#print(wrapped(`${styleText('green', '✓')} ${text}`, '  ', '    '));
  }

  failed(text: string): void {
    this.#print(wrapped(`${styleText('red', '✗')} ${text}`, '  ', '    '));
  }

  /** An empty line, unless there is one. */
  gap(): void {
    if (!this.#gap) this.#print('');
    this.#gap = true;
  }

  /** Redraws in place; only of use where `canRedraw`. */
  redraw(text: string): void {
    logUpdate(indented(text));
    this.#gap = false;
  }

  /** Leaves what was drawn last where it is, and goes on below. */
  settle(): void {
    logUpdate.done();
  }

  get canRedraw(): boolean {
    return process.stdout.isTTY;
  }

  #print(text: string): void {
    process.stdout.write(`${text}\n`);
    this.#gap = false;
  }
}

function indented(text: string): string {
  return text
    .split('\n')
    .map((line) => (line === '' ? '' : `  ${line}`))
    .join('\n');
}

/** Breaks running text at blanks. */
function wrapped(text: string, first: string, following = first): string {
  const lines: string[] = [];
  let line = first;
  for (const word of text.split(' ')) {
    if (line.trim() !== '' && line.length + word.length + 1 > TEXT_WIDTH) {
      lines.push(line);
      line = following;
    }
    line += line.trim() === '' ? word : ` ${word}`;
  }
  return [...lines, line].join('\n');
}

/** 12,431 */
export function figure(count: number): string {
  return count.toLocaleString('en');
}

/** "1 object", "12 objects" */
export function counted(count: number, one: string, more = `${one}s`): string {
  return `${figure(count)} ${count === 1 ? one : more}`;
}

/** "4 min 32 s" */
export function minutes(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
