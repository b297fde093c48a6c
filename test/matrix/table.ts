import { nameOf, PROVIDERS, SPECIAL } from './journey.ts';
import { type LegResult } from './leg.ts';

/** docs/MATRIX.md: every directed pair of providers, and what came of a migration from one to the other. */
export function renderMatrix(
  legs: readonly LegResult[],
  how: { readonly versions: readonly string[]; readonly command: string },
): string {
  const sum = (of: (leg: LegResult) => number): number => legs.reduce((total, leg) => total + of(leg), 0);
  const cell = (source: string, target: string): string => {
    const leg = legs.find((one) => one.source === source && one.target === target);
    if (leg === undefined) return 'not run';
    return leg.wrong.length === 0 ? 'ok' : '**failed**';
  };
  const failed = legs.filter(({ wrong }) => wrong.length > 0);
  return [
    '# From every provider to every other',
    '',
    `Written by \`${how.command}\`, on real servers: do not edit.`,
    '',
    'Each cell is a migration of a whole cluster from the provider of its row to that of its column, by the `APIServer` engine,',
    'while a client writes through both API servers. **ok**: it ended completed, no acknowledged write was lost, every object',
    'could be read with its content through each API server, every value in etcd had the format of the target, and between key',
    'services no node had more plugins in its file than the two, each at a socket of its own. AWS KMS is an emulator (ministack),',
    'the HSM is SoftHSM; each is reached through `keyferry plugin`.',
    '',
    `| from \\ to | ${PROVIDERS.join(' | ')} |`,
    `|${'---|'.repeat(PROVIDERS.length + 1)}`,
    ...PROVIDERS.map(
      (source) =>
        `| ${source} | ${PROVIDERS.map((target) => (source === target ? '–' : cell(source, target))).join(' | ')} |`,
    ),
    '',
    '## Special ones',
    '',
    'Within one kind of provider, held to the same. The name is what `--only` takes.',
    '',
    '| what changes | name | |',
    '|---|---|---|',
    ...SPECIAL.map((leg) => `| ${leg.what} | \`${nameOf(leg)}\` | ${cell(leg.source, leg.target)} |`),
    ...(failed.length === 0 ? [] : ['', '## What failed', '']),
    ...failed.map(
      ({ source, target, wrong }) => `- ${source} → ${target}: ${wrong.join('; ').slice(0, 1_000)}`,
    ),
    '',
    '## How it was made',
    '',
    `- ${how.versions.join(', ')}`,
    `- ${legs.length} migrations of about ${Math.round(sum(({ objects }) => objects) / Math.max(1, legs.length))} objects each, with two API servers that are restarted to take files up`,
    `- ${sum(({ writes }) => writes)} writes of the client acknowledged`,
    `- ${sum(({ seconds }) => seconds)} s of migrations in all`,
    '',
  ].join('\n');
}
