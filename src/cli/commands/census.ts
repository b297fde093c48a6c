import { Command } from 'commander';
import { findServed } from '../../cluster/orphans.ts';
import { compileNames } from '../../envelope/header.ts';
import { refText, sourceOf, targetOf } from '../../plan/sides.ts';
import {
  addTally,
  emptyTally,
  MAX_RECIPIENTS,
  UNNAMED,
  type CensusTally,
  type EscrowTally,
} from '../../plan/tally.ts';
import { KeyferryError } from '../../errors.ts';
import { ExitCode } from '../exit-codes.ts';
import { readMigration } from '../files.ts';
import { columns, print } from '../output.ts';

export function censusCommand(): Command {
  return new Command('census')
    .description(
      'count in etcd what every object of a migration is encrypted with; changes nothing, needs no worker',
    )
    .requiredOption('-f, --file <file>', 'a Migration document, or - for standard input')
    .option('--json', 'answer as JSON')
    .addHelpText('after', '\nExits with 1 while anything is outside the target.')
    .action(async ({ file, json = false }: { file: string; json?: boolean }) => {
      const { spec } = readMigration(file);
      const { countFrom } = await import('../../census/count.ts');
      const { Clusters } = await import('../../cluster/cluster.ts');
      const clusters = new Clusters();
      try {
        const cluster = clusters.get(spec.cluster);
        const [server] = cluster.apiServers;
        if (server === undefined) throw new Error('the schema lets no cluster without API servers pass');
        const source = sourceOf(spec);
        const names = compileNames([source, targetOf(spec)].filter((side) => 'keyName' in side));
        let tally = emptyTally();
        for (const name of spec.resources) {
          const resource = await findServed(server, cluster.etcd, name, spec.cluster.etcd.prefix);
          if (resource === undefined) continue;
          const part = await countFrom(cluster.etcd, resource, undefined, targetOf(spec), names, {
            timeMs: Number.POSITIVE_INFINITY,
            signal: new AbortController().signal,
            onProgress: () => undefined,
          });
          if (part.cursor !== undefined) {
            throw new KeyferryError('UnavailableCensus', `the census of ${name} did not get to its end`, {
              remedy: 'try again',
              retryable: true,
            });
          }
          tally = addTally(tally, part.tally);
        }
        const { representatives: _representatives, ...census } = tally;
        print(json, { ...census, source: refText(source), target: refText(targetOf(spec)) }, () =>
          renderCensus(tally, refText(targetOf(spec))),
        );
        if (tally.inTarget < tally.objects) process.exitCode = ExitCode.no;
      } finally {
        await clusters.close();
      }
    });
}

export function renderCensus(tally: CensusTally, target: string): string {
  return [
    columns([
      ['RESOURCE', 'PROVIDER', 'KEY', 'KEY ID', 'OBJECTS'],
      ...tally.rows.map((row) => [
        row.resource,
        row.provider,
        row.key ?? '',
        row.keyId ?? '',
        String(row.count),
      ]),
    ]),
    '',
    `${tally.inTarget} of ${tally.objects} objects are under ${target}, at etcd's revision ${tally.revision}.`,
    ...(tally.waived > 0 ? [`${tally.waived} that nobody can read were waived, and aren't counted.`] : []),
    ...(tally.unknown > 0 ? [`${tally.unknown} are in a format that isn't known:`] : []),
    ...tally.unknownExamples.map((one) => `  ${one.resource} ${one.namespace ?? ''}/${one.name}`),
    ...escrowLines(tally.escrow),
  ].join('\n');
}

/** Who can open besides the key services. */
function escrowLines(escrow: EscrowTally | undefined): string[] {
  if (escrow === undefined) return [];
  const { recipients, more } = escrow;
  if (recipients.length === 0) return ['No value has an escrow: no offline recipient can open any.'];
  return [
    'Values have an escrow: whoever holds an identity of one of these recipients opens theirs without the key service:',
    ...recipients.map((one) => (one === UNNAMED ? '  a recipient that is not named' : `  ${one}`)),
    ...(more ? [`  and more than these ${MAX_RECIPIENTS}`] : []),
  ];
}
