import { runs, type Progress } from '../src/plan/progress.ts';

/** Temporal shows a workflow's current details as Markdown; it takes 20 KB of them, we stay far below. */
const MAX = 8_000;

/** Where a migration stands, as Markdown for the Temporal UI. */
export function renderDetails(progress: Progress): string {
  const { objects, rewrite } = progress;
  const lines = [
    `**${progress.phase}** · ${progress.state} · ${progress.waitingFor}`,
    '',
    `| | objects |`,
    `|---|---|`,
    `| ${progress.source} | ${objects.inSource} |`,
    `| ${progress.target} | ${objects.inTarget} |`,
    '',
    ...(rewrite.of > 0
      ? [`Pass ${progress.pass}: ${rewrite.done} of ${rewrite.of} objects${walking(progress)}`, '']
      : []),
    ...progress.shards.stalled.slice(0, 5).map((why) => `- stalled: ${why}`),
    ...(progress.throttle?.slowed ?? []).slice(0, 5).map((why) => `- slower: ${why}`),
    ...progress.apiServers.map((server) => `- ${server.name}: file ${server.file}, runs ${runs(server)}`),
    ...(progress.refusals.length > 0 ? ['', `${rewrite.refused} objects refused, the first ones:`] : []),
    ...progress.refusals
      .slice(0, 10)
      .map(
        (one) =>
          `- ${[one.namespace, one.name].filter(Boolean).join('/')}: ${one.status} ${one.reason} (${one.remedy})`,
      ),
    '',
    'Next:',
    '',
    ...progress.nextSteps.map((step) => `- \`${step}\``),
  ];
  return lines.join('\n').slice(0, MAX);
}

/** How fast, and how far; nothing once the last shard is done. */
function walking({ rate, shards }: Progress): string {
  return shards.total === 0 ? '' : `, ${Math.round(rate)}/s, ${shards.done} of ${shards.total} shards done`;
}
