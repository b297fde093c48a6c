import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';

const ROOT = join(import.meta.dirname, '../..');

/**
 * Spares the labs of a run what each of their processes would do anew, from the sources as they are now: a worker bundles the
 * workflows, which takes it seconds, and all of them compile TypeScript.
 */
export default async function setUp(_config, { displayName }) {
  const folder = mkdtempSync(join(tmpdir(), 'kf-run-'));
  process.env.KEYFERRY_TEST_RUN = folder;
  process.env.KEYFERRY_WORKFLOW_BUNDLE = join(folder, 'workflow-bundle.js');
  // Node looks at what a file holds: one that is changed in mid-run is compiled again.
  process.env.NODE_COMPILE_CACHE = join(folder, 'compiled');

  const workflowsPath = join(ROOT, 'workflows/index.ts');
  const { code } = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
  writeFileSync(process.env.KEYFERRY_WORKFLOW_BUNDLE, code);

  // Of what an API server does until it is ready, a fifth is collecting garbage. Those of long tests hold more objects: there it
  // would cost gigabytes.
  if (displayName.name === 'integration') process.env.GOGC = '400';

  // Node keeps what it compiled when a process ends by itself; agents and workers of a lab are often killed.
  const { NODE_OPTIONS: _, ...env } = process.env;
  execFileSync(process.execPath, ['src/worker/run.ts'], { cwd: ROOT, env, stdio: 'inherit' });
}
