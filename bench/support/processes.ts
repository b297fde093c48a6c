import { readFileSync } from 'node:fs';
import type { Lab } from '../../lab/lab.ts';

/** USER_HZ: what Linux counts CPU time in, on every architecture that matters here. */
const TICKS_PER_SECOND = 100;

export interface ProcessUse {
  /** Seconds on a CPU since it was started, user and system. */
  readonly cpu: number;
  /** Resident now, in MiB: all of it, without pages of mapped files, and at most so far. */
  readonly rss: number;
  readonly anonymous: number;
  readonly peak: number;
}

/** What each running process of a lab uses, by its name. */
export async function useOf(lab: Lab): Promise<Record<string, ProcessUse>> {
  const { processes } = await lab.status();
  const uses: Record<string, ProcessUse> = {};
  for (const { name, pid, running } of processes) {
    if (running) uses[name] = useOfProcess(pid);
  }
  return uses;
}

export function useOfProcess(pid: number): ProcessUse {
  // The name may hold anything, so fields are counted from the bracket that ends it: state is the first, utime the 12th.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mib = (field: string) =>
    Math.round(Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024);
  return {
    cpu: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
    rss: mib('VmRSS'),
    anonymous: mib('RssAnon'),
    peak: mib('VmHWM'),
  };
}

/** Seconds on a CPU between two looks, by process. */
export function cpuBetween(
  before: Readonly<Record<string, ProcessUse>>,
  after: Readonly<Record<string, ProcessUse>>,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(after).map(([name, { cpu }]) => [
      name,
      Math.round((cpu - (before[name]?.cpu ?? 0)) * 100) / 100,
    ]),
  );
}
