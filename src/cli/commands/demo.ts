import { Command, InvalidArgumentError } from 'commander';
import { ExitCode } from '../exit-codes.ts';
import { renderBars, renderLine } from '../render.ts';

const LEAST_SECRETS = 1_000;

/** `keyferry demo`: a migration of a real control plane from end to end, with everything that may go wrong on the way. */
export function demoCommand(): Command {
  return new Command('demo')
    .description(
      'Move a real control plane to Vault on this machine: through a crash, with proof, in about 5 minutes.',
    )
    .option('--dir <folder>', 'where the lab lies; by default a fresh temporary folder')
    .option('--secrets <n>', 'Secrets to seed', secretsOf, 5_000)
    .option('--keep', 'leave the lab up at the end, and say how to look around')
    .addHelpText('after', '\nExits with 1 when something that it claims does not hold.')
    .action(async ({ dir, secrets, keep = false }: { dir?: string; secrets: number; keep?: boolean }) => {
      const abort = new AbortController();
      const interrupted = () => {
        if (!abort.signal.aborted) process.stderr.write('\ninterrupted: taking everything down\n');
        abort.abort(new Error('interrupted'));
      };
      const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
      for (const signal of signals) process.on(signal, interrupted);
      // Nobody reads any more (a closed pipe): the lab must not stay up for that.
      process.stdout.on('error', interrupted);
      try {
        const rendering = { bars: renderBars, line: renderLine };
        const { runDemo } = await import('../../../lab/demo/demo.ts');
        const holds = await runDemo({ dir, secrets, keep, rendering, signal: abort.signal });
        if (!holds) process.exitCode = ExitCode.no;
      } catch (error) {
        if (!abort.signal.aborted) throw error;
        process.exitCode = ExitCode.no;
      } finally {
        for (const signal of signals) process.off(signal, interrupted);
      }
    });
}

function secretsOf(value: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < LEAST_SECRETS) {
    throw new InvalidArgumentError(
      `Needs a whole number of at least ${LEAST_SECRETS}: with fewer there is nothing to see.`,
    );
  }
  return number;
}
