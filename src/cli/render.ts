import type { ReadFailure } from '../plan/tally.ts';
import { objectId, type Waiver } from '../plan/waivers.ts';
import type { VersionRow } from '../plan/version-tally.ts';
import type { Refusal } from '../rewrite/engine.ts';
import { runs, type Progress } from '../plan/progress.ts';
import type { Look } from './look.ts';
import { columns } from './output.ts';

const BAR = 30;

/** A migration as a person reads it. */
export function renderLook(view: Look, now: number): string {
  const { progress } = view;
  if (progress === undefined) {
    return [
      `${view.workflowId}  ${view.execution}`,
      `  ${view.silent ?? ''}`,
      ...view.troubles.map((one) => `  trouble: ${one}`),
    ].join('\n');
  }
  return [
    `${progress.migration}  ${progress.source} → ${progress.target}  on ${progress.cluster}`,
    `phase    ${progress.phase}, ${progress.state}${progress.goal === 'source' ? ' (towards the source)' : ''}`,
    `         ${progress.waitingFor}${since(progress, now)}`,
    '',
    renderBars(progress),
    ...rewriting(progress),
    ...servers(progress),
    ...versions(progress),
    ...list('stalled', progress.shards.stalled),
    ...list('slower', progress.throttle?.slowed ?? []),
    ...list('trouble', view.troubles),
    ...failedChecks(progress),
    ...refused(progress.refusals),
    ...waived(progress.waivers),
    ...unreadable(progress.reads?.failures ?? []),
    ...list('next', progress.nextSteps),
  ].join('\n');
}

/** One line, for logs and pipes. */
export function renderLine(view: Look, now: number): string {
  const { progress } = view;
  if (progress === undefined) return `${view.execution}: ${view.silent ?? ''}`;
  const { objects } = progress;
  return [
    `${progress.phase} (${progress.state})`,
    `${progress.source} ${objects.inSource.toLocaleString('en')}`,
    `${progress.target} ${objects.inTarget.toLocaleString('en')}`,
    ...(progress.rate > 0 ? [`${Math.round(progress.rate)}/s`] : []),
    `${progress.waitingFor}${since(progress, now)}`,
  ].join(' · ');
}

/** What is left under the source and what is under the target, as two bars. */
export function renderBars({ source, target, objects }: Progress): string {
  const width = Math.max(source.length, target.length);
  const bar = (count: number): string => {
    const filled = objects.total === 0 ? 0 : Math.round((BAR * count) / objects.total);
    return `${'█'.repeat(filled)}${'░'.repeat(BAR - filled)}  ${count.toLocaleString('en')}`;
  };
  return [
    `${source.padEnd(width)}  ${bar(objects.inSource)}`,
    `${target.padEnd(width)}  ${bar(objects.inTarget)}`,
  ].join('\n');
}

function servers({ apiServers }: Progress): string[] {
  if (apiServers.length === 0) return [];
  return [
    '',
    columns([
      ['API SERVER', 'FILE', 'RUNS'],
      ...apiServers.map((server) => [server.name, server.file, runs(server)]),
    ]),
  ];
}

function versions(progress: Progress): string[] {
  return progress.versions === undefined || progress.versions.length === 0
    ? []
    : ['', renderVersions(progress.versions)];
}

/** In which versions objects lie. */
export function renderVersions(rows: readonly VersionRow[]): string {
  return columns([
    ['RESOURCE', 'LIES AS', 'OBJECTS'],
    ...rows.map((row) => [row.resource, row.apiVersion, row.count.toLocaleString('en')]),
  ]);
}

function rewriting(progress: Progress): string[] {
  const { rewrite, shards, etaSeconds } = progress;
  if (rewrite.of === 0) return [];
  const eta = etaSeconds === undefined ? '' : `, about ${duration(etaSeconds * 1000)} left`;
  const rate = progress.rate > 0 ? `, ${Math.round(progress.rate)}/s${eta}` : '';
  const limit = progress.throttle?.objectsPerSecond ?? 0;
  const most = limit > 0 ? ` (${limit}/s at most)` : '';
  const walked = shards.total > 0 ? `, ${shards.done} of ${shards.total} shards done` : '';
  return [
    '',
    `pass ${progress.pass}   ${rewrite.done.toLocaleString('en')} of ${rewrite.of.toLocaleString('en')} objects${rate}${most}${walked}`,
    `         ${rewrite.rewritten} rewritten, ${rewrite.current} current already, ${rewrite.gone} gone, ${rewrite.refused} refused`,
  ];
}

function failedChecks({ checks }: Progress): string[] {
  return checks
    .filter((check) => check.outcome === 'fail')
    .flatMap((check) => [
      `failed   ${check.name}: ${check.detail}`,
      `         what to do: ${check.remedy ?? ''}`,
    ]);
}

/** Objects that an API server could not read, each with which server and what it answered. */
export function unreadable(failures: readonly ReadFailure[]): string[] {
  return list(
    'unread',
    failures.flatMap((one) => [
      `${objectId(one)}: ${one.apiServer} answered ${one.status} ${one.reason}`,
      wayOut(one),
    ]),
  );
}

/** Objects that refused to be rewritten, each with its reason and the way out. */
export function refused(all: readonly Refusal[]): string[] {
  return list(
    'refused',
    all.flatMap((one) => {
      const status = one.status === undefined ? '' : `${one.status} `;
      return [`${objectId(one)}: ${status}${one.reason}`, wayOut(one)];
    }),
  );
}

/** Objects that persons gave up, with who and why, and what shows that nobody could read them. */
export function waived(all: readonly Waiver[]): string[] {
  return list(
    'waived',
    all.map((one) => {
      const by = `${one.actor}${one.verified ? '' : ' (unverified)'}`;
      const shown =
        one.proof === undefined ? 'not asked yet whether it can be read' : `found: ${one.proof.found}`;
      return `${objectId(one)}: by ${by}, ${new Date(one.at).toISOString()}: ${one.reason} (${shown})`;
    }),
  );
}

function wayOut({ remedy }: { remedy: string }): string {
  return `  what to do: ${remedy}`;
}

function since({ waitingSince }: Progress, now: number): string {
  return waitingSince === undefined || now - waitingSince < 2_000
    ? ''
    : ` (for ${duration(now - waitingSince)})`;
}

function list(heading: string, lines: readonly string[]): string[] {
  return lines.map((line, i) => `${(i === 0 ? heading : '').padEnd(8)} ${line}`);
}

/** "40 s", "3 min", "5 h 20 min". */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
