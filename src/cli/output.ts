import { KeyferryError } from '../errors.ts';
import { ExitCode } from './exit-codes.ts';

/** Writes one JSON document, or the lines for a person. */
export function print(json: boolean, value: unknown, text: () => string): void {
  process.stdout.write(json ? `${JSON.stringify(value, null, 2)}\n` : `${text()}\n`);
}

/** Rows as aligned columns, two spaces apart; the first row is the heading. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Text in lines of at most so many columns, each with the same indent; words are never cut. */
export function wrapped(text: string, indent: string, width: number): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line === '') lines[lines.length - 1] = word;
    else if (indent.length + line.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines.map((line) => `${indent}${line}`).join('\n');
}

/** Prints an error as message and remedy (or JSON) on standard error, and answers with the exit code to leave with. */
export function reportError(error: unknown, json: boolean): ExitCode {
  if (error instanceof KeyferryError) {
    process.stderr.write(
      json
        ? `${JSON.stringify({ error: { code: error.code, message: error.message, remedy: error.remedy } })}\n`
        : `error: ${error.message}\n  what to do: ${error.remedy}\n`,
    );
    return exitCodeOf(error);
  }
  process.stderr.write(`error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return ExitCode.internal;
}

function exitCodeOf(error: KeyferryError): ExitCode {
  if (error.code.startsWith('Usage')) return ExitCode.usage;
  if (/^(Spec|EncryptionConfiguration|PluginConfiguration|Input)/.test(error.code))
    return ExitCode.invalidInput;
  if (/^(Refused|AlreadyRunning)/.test(error.code)) return ExitCode.refused;
  if (/^(Unavailable|Unreachable|NotFound|Timeout|File)/.test(error.code)) return ExitCode.unavailable;
  return ExitCode.no;
}
