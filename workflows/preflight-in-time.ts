import { sleep } from '@temporalio/workflow';
import { passingTrouble } from '../src/plan/preflight.ts';
import type { Run } from './run.ts';
import type { Check } from './types.ts';

/** Longer than a process takes that is restarted: an API server's plugin, and then the API server. */
const PATIENCE_MS = 90_000;
const POLL = '5s';

/** What is away just now gets its time to come back, before the run is refused for it. */
export async function preflightInTime<R extends { checks: Check[] }>(
  run: Run,
  preflight: () => Promise<R>,
): Promise<R> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const report = await preflight();
    const trouble = passingTrouble(report.checks);
    if (trouble === undefined || Date.now() >= deadline) return report;
    run.waitFor(`${trouble.name}: ${trouble.detail}; preflight asks again`);
    await sleep(POLL);
  }
}
