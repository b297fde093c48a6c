import { readFileSync } from 'node:fs';

/** A process that can be told from a later one with the same pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Boot id and start time in clock ticks since boot. */
  readonly started: string;
}

/** The process that has this pid now; undefined when none has, or when it only waits to be reaped. */
export function identify(pid: number): ProcessIdentity | undefined {
  const found = readStat(pid);
  return found === undefined || found.state === 'Z' || found.state === 'X'
    ? undefined
    : identityOf(pid, found);
}

/** A child that was just started, even if it has ended already and waits to be reaped by this process. */
export function identifyChild(pid: number): ProcessIdentity | undefined {
  const found = readStat(pid);
  return found === undefined ? undefined : identityOf(pid, found);
}

/** Whether the very process still runs: a stranger that got its pid does not count. */
export function isAlive(process: ProcessIdentity): boolean {
  return identify(process.pid)?.started === process.started;
}

/**
 * Fields 3 (state) and 22 (start time) of `/proc/<pid>/stat`. The second field is the program's name in
 * parentheses, and may itself hold spaces and parentheses: count from the last one.
 */
export function parseStat(stat: string): { state: string; startTicks: string } | undefined {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, startTicks] = [fields[0], fields[19]];
  return state === undefined || startTicks === undefined ? undefined : { state, startTicks };
}

function readStat(pid: number): ReturnType<typeof parseStat> {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return undefined;
  }
}

function identityOf(pid: number, { startTicks }: { startTicks: string }): ProcessIdentity {
  return { pid, started: `${bootId()}:${startTicks}` };
}

let cachedBootId: string | undefined;

function bootId(): string {
  cachedBootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return cachedBootId;
}
