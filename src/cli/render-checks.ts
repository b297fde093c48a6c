import type { Check } from '../plan/preflight.ts';
import { wrapped } from './output.ts';

/** Columns of a line of prose. */
const LINE = 110;

/** What passed is a line each; what didn't is told at length, with what to do. */
export function renderChecks(checks: readonly Check[]): string {
  const names = checks.filter(({ outcome }) => outcome === 'pass').map(({ name }) => name.length);
  const width = Math.max(0, ...names);
  return checks
    .map(({ outcome, name, detail, remedy }) =>
      outcome === 'pass'
        ? `pass  ${name.padEnd(width)}  ${detail}`
        : [
            `${outcome}  ${name}`,
            wrapped(detail, '      ', LINE),
            wrapped(`what to do: ${remedy ?? ''}`, '      ', LINE),
          ].join('\n'),
    )
    .join('\n');
}
