import { Command } from 'commander';
import type { NativeEvidence } from '../../plan/native-migration.ts';
import type { MigrationReport } from '../../../workflows/report.ts';
import type { StorageVersionReport } from '../../../workflows/storage-version-migration.ts';
import { progressQuery, timelineQuery } from '../../../workflows/messages.ts';
import type { TimelineEntry } from '../../../workflows/types.ts';
import { countsText } from '../../plan/counts.ts';
import type { ReadsTally } from '../../plan/tally.ts';
import { columns, print } from '../output.ts';
import { refused, renderLook, renderVersions, unreadable, waived } from '../render.ts';
import { findMigration, withTemporal } from '../temporal.ts';
import { withTemporalOptions, type TemporalOptions } from '../temporal-options.ts';
import { look } from '../look.ts';
import { renderCensus } from './census.ts';
import { renderChecks } from '../render-checks.ts';

export function reportCommand(): Command {
  return withTemporalOptions(
    new Command('report')
      .description('what a migration did and what proves it: checks, censuses, passes, refusals, timeline')
      .argument('[migration]', 'workflow id; not needed where there is only one')
      .option('--json', 'answer as JSON'),
  ).action(async (id: string | undefined, options: TemporalOptions & { json?: boolean }) => {
    await withTemporal(options, async (client) => {
      const handle = await findMigration(client, id);
      const { status } = await handle.describe();
      if (status.name === 'COMPLETED') {
        const report = (await handle.result()) as MigrationReport | StorageVersionReport;
        print(options.json ?? false, report, () =>
          'kind' in report ? renderStorageReport(report) : renderReport(report),
        );
        return;
      }
      // Not over yet: what is known so far.
      const [progress, timeline, view] = await Promise.all([
        handle.query(progressQuery),
        handle.query(timelineQuery),
        look(client, handle),
      ]);
      print(options.json ?? false, { progress, timeline }, () =>
        [renderLook(view, Date.now()), '', renderTimeline(timeline)].join('\n'),
      );
    });
  });
}

function renderReport(report: MigrationReport): string {
  const took = Math.round((report.finishedAt - report.startedAt) / 1000);
  return [
    `${report.migration} on ${report.cluster}: ${report.source} → ${report.target}: ${report.outcome} in ${took} s`,
    '',
    renderChecks(report.checks),
    ...(report.before === undefined ? [] : ['', 'Before:', renderCensus(report.before, report.target)]),
    ...(report.after === undefined ? [] : ['', 'After:', renderCensus(report.after, report.target)]),
    ...(report.reads === undefined ? [] : renderReads(report.reads)),
    '',
    ...report.passes.map(
      ({ side, pass, counts }) => `pass ${pass} towards the ${side}: ${countsText(counts)}`,
    ),
    ...native(report.native ?? []),
    ...refused(report.refusals),
    ...waived(report.waivers),
    '',
    renderTimeline(report.timeline),
  ].join('\n');
}

/** What the cluster's own storage version migrator claimed, and what a census found of that. */
function native(evidence: readonly NativeEvidence[]): string[] {
  return evidence.map(
    ({ name, resource, outcome, why, resourceVersion, left }) =>
      `StorageVersionMigration ${name} of ${resource}: ${[
        outcome,
        ...(why === undefined ? [] : [why]),
        ...(resourceVersion === undefined ? [] : [`at resourceVersion ${resourceVersion}`]),
        ...(left === undefined ? [] : [`a census found ${left} left`]),
      ].join(', ')}`,
  );
}

function renderStorageReport(report: StorageVersionReport): string {
  const took = Math.round((report.finishedAt - report.startedAt) / 1000);
  const stored = report.resources.map(({ resource, storageVersion, storedBefore, storedAfter }) => [
    resource,
    storageVersion,
    storedBefore?.join(', ') ?? 'built in',
    storedAfter?.join(', ') ?? 'built in',
  ]);
  return [
    `${report.migration} on ${report.cluster}: storage versions: ${report.outcome} in ${took} s`,
    '',
    columns([['RESOURCE', 'STORED AS', 'STORED VERSIONS BEFORE', 'AFTER'], ...stored]),
    '',
    renderChecks(report.checks),
    ...(report.before === undefined ? [] : ['', 'Before:', renderVersions(report.before.rows)]),
    ...(report.after === undefined ? [] : ['', 'After:', renderVersions(report.after.rows)]),
    ...(report.reads === undefined ? [] : renderReads(report.reads)),
    '',
    ...report.passes.map(({ pass, counts }) => `pass ${pass}: ${countsText(counts)}`),
    ...native(report.native ?? []),
    ...refused(report.refusals),
    '',
    renderTimeline(report.timeline),
  ].join('\n');
}

function renderReads({ read, failed, failures }: ReadsTally): string[] {
  return ['', `${read} reads through the API servers, ${failed} failed.`, ...unreadable(failures)];
}

function renderTimeline(timeline: readonly TimelineEntry[]): string {
  return columns([
    ['WHEN', 'WHO', 'WHAT', 'WHY'],
    ...timeline.map((entry) => [
      new Date(entry.at).toISOString(),
      entry.verified ? entry.actor : `${entry.actor} (unverified)`,
      entry.what,
      entry.reason ?? '',
    ]),
  ]);
}
