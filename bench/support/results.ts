import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';

/** A measurement with one number of Secrets, and on what it was made. */
export type Run<T> = T & {
  readonly at: string;
  readonly machine: { readonly cores: number; readonly memoryGiB: number; readonly node: string };
  readonly secrets: number;
};

/** Where raw results and drawings lie. */
export const RESULTS = new URL('../results/', import.meta.url);

/** Keeps the last run of each number of Secrets. @returns all that are kept, by that number */
export function keepRun<T extends { readonly secrets: number }>(name: string, measured: T): Run<T>[] {
  const file = new URL(name, RESULTS);
  const kept = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Run<T>[]) : [];
  const machine = {
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
  };
  const runs = [
    ...kept.filter(({ secrets }) => secrets !== measured.secrets),
    { ...measured, at: new Date().toISOString(), machine },
  ];
  runs.sort((one, other) => one.secrets - other.secrets);
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(file, `${JSON.stringify(runs)}\n`);
  return runs;
}
