import { readdirSync, readFileSync } from 'node:fs';

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

/** Whether all threads of a process stand still by SIGSTOP. */
export function standsStill(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((thread) => {
    const state = readStat(Number(thread), pid)?.state;
    // A thread that has ended meanwhile does nothing either.
    return state === undefined || state === 'T';
  });
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

/** @param pid - of a process, or of a thread of the process `of` */
function readStat(pid: number, of?: number): ReturnType<typeof parseStat> {
  try {
    const folder = of === undefined ? `/proc/${pid}` : `/proc/${of}/task/${pid}`;
    return parseStat(readFileSync(`${folder}/stat`, 'utf8'));
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
