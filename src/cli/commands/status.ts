import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import logUpdate from 'log-update';
import { ExitCode } from '../exit-codes.ts';
import { look, type Look } from '../look.ts';
import { print } from '../output.ts';
import { renderLine, renderLook } from '../render.ts';
import { findMigration, withTemporal } from '../temporal.ts';
import { withTemporalOptions, type TemporalOptions } from '../temporal-options.ts';

const REFRESH_MS = 1_000;

export function statusCommand(): Command {
  return withTemporalOptions(
    new Command('status')
      .description('where a migration stands, what it waits for, and what can be done next')
      .argument('[migration]', 'workflow id; not needed where there is only one')
      .option('--watch', 'keep showing it until it ends')
      .option('--json', 'answer as JSON'),
  ).action(async (id: string | undefined, options: TemporalOptions & { watch?: boolean; json?: boolean }) => {
    await withTemporal(options, async (client) => {
      const handle = await findMigration(client, id);
      let view = await look(client, handle);
      if (options.watch !== true) {
        print(options.json ?? false, view, () => renderLook(view, Date.now()));
      } else {
        const show = shower(options.json ?? false);
        for (; ; view = await look(client, handle)) {
          show(view);
          if (view.execution !== 'RUNNING') break;
          await sleep(REFRESH_MS);
        }
        logUpdate.done();
      }
      if (
        view.execution !== 'RUNNING' &&
        !['completed', 'rolled-back', 'stopped'].includes(view.progress?.phase ?? '')
      ) {
        process.exitCode = ExitCode.no;
      }
    });
  });
}

/** A live view on a terminal; elsewhere a line whenever it changes. */
function shower(json: boolean): (view: Look) => void {
  if (process.stdout.isTTY && !json) return (view) => logUpdate(renderLook(view, Date.now()));
  let last = '';
  return (view) => {
    const line = json ? JSON.stringify(view) : renderLine(view, view.progress?.waitingSince ?? 0);
    if (line !== last) process.stdout.write(`${line}\n`);
    last = line;
  };
}
