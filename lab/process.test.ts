import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it, expect } from '@jest/globals';
import { identify, isAlive, parseStat, standsStill } from './process-identity.ts';
import { ProcessTable, type Launch } from './process.ts';

let dir: string;
let table: ProcessTable;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'keyferry-process-'));
  table = new ProcessTable(join(dir, 'run'));
});

afterEach(async () => {
  for (const { name } of table.list()) await table.stop(name, 100);
  rmSync(dir, { recursive: true, force: true });
});

function shell(script: string, says = 'up'): Launch {
  return {
    name: 'a',
    command: 'sh',
    args: ['-c', script],
    log: join(dir, 'a.log'),
    readyWithinMs: 5_000,
    ready: (logText) => Promise.resolve(logText().includes(says)),
  };
}

/** As a server's port answers at which an older one listens. */
async function waitUntilEnded(name: string): Promise<true> {
  while (table.running(name) !== undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  return true;
}

describe('a process of the lab', () => {
  it('is started detached, waited for, and stopped', async () => {
    const { pid } = await table.startAndWait(shell('echo up; exec sleep 60'));
    expect(table.running('a')?.pid).toBe(pid);
    await table.stop('a');
    expect(identify(pid)).toBeUndefined();
    expect(table.list()).toEqual([]);
  });

  it('is started once where two start it at the same time, each not knowing of the other', async () => {
    const other = new ProcessTable(join(dir, 'run'));
    const starts = [table, other].map(async (one) => await one.restart(shell('echo up; exec sleep 60')));
    const [first, second] = await Promise.all(starts);
    expect([first, second].filter((record) => record !== undefined && isAlive(record))).toHaveLength(1);
    expect(table.running('a')).toBeDefined();
  });

  it('is not taken for ready when it has ended, whoever answers in its place', async () => {
    const shortLived: Launch = { ...shell('exit 1'), ready: async () => await waitUntilEnded('a') };
    await expect(table.startAndWait(shortLived)).rejects.toThrow(/ended before it was ready/);
  });

  it('is killed when it does not heed SIGTERM', async () => {
    const record = await table.startAndWait(shell("trap '' TERM; echo up; while :; do sleep 0.1; done"));
    await table.stop('a', 200);
    expect(isAlive(record)).toBe(false);
  });

  it('stands still once it was frozen, and is stopped all the same', async () => {
    const record = await table.startAndWait(shell('echo up; exec sleep 60'));
    expect(standsStill(record.pid)).toBe(false);
    await table.signal('a', 'SIGSTOP');
    expect(standsStill(record.pid)).toBe(true);
    await table.stop('a');
    expect(isAlive(record)).toBe(false);
  });

  it('is left alone when its pid belongs to a stranger by now', async () => {
    const stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
    try {
      const record = await table.startAndWait(shell('echo up; exec sleep 60'));
      await table.stop('a');
      // Both may have started within one tick (10 ms) of the kernel's clock, as no real reuse of a pid does.
      const stale = { ...record, pid: stranger.pid, started: `${record.started}0` };
      writeFileSync(join(dir, 'run', 'a.json'), JSON.stringify(stale));
      expect(table.running('a')).toBeUndefined();
      await table.stop('a', 100);
      expect(identify(stranger.pid ?? 0)).toBeDefined();
    } finally {
      stranger.kill('SIGKILL');
    }
  });

  it('is reported with its last words when it ends before it is ready', async () => {
    await expect(table.startAndWait(shell('echo "no such flag" >&2; exit 2', 'never'))).rejects.toThrow(
      /a ended before it was ready[^]*no such flag/,
    );
  });

  it('is not ready by what it said in an earlier life', async () => {
    await table.startAndWait(shell('echo up; exec sleep 60'));
    await table.stop('a');
    await expect(table.startAndWait(shell('exit 0'))).rejects.toThrow(/ended before it was ready/);
  });

  it('is told by a retryable error when its port was taken', async () => {
    const launch = shell('echo "bind: address already in use"; exit 1', 'never');
    await expect(table.startAndWait(launch)).rejects.toMatchObject({
      code: 'LabAddressInUse',
      retryable: true,
    });
  });
});

describe('the start time in /proc/<pid>/stat', () => {
  it('is found behind a program name with spaces and parentheses', () => {
    const rest = Array.from({ length: 19 }, (_, i) => `${i + 4}`).join(' ');
    expect(parseStat(`42 (a) b (c)) S ${rest}`)).toEqual({ state: 'S', startTicks: '22' });
  });
});
