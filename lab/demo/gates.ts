import { type Scene } from './scene.ts';

/** Verify, and the gate that only a person opens. */
export async function cutOver({ narrator, keyferry, watch }: Scene): Promise<void> {
  narrator.section(
    'To the end, and verified',
    'When the last shard is done, a census reads etcd itself and counts what every object is encrypted with, and objects are read through each API server. Then the gate waits for a person.',
  );
  await watch.until('the gate of the cutover', ({ phase, state }) => phase === 'soak' && state === 'waiting');

  narrator.section(
    'Cutover',
    'The old key leaves the configuration of both API servers. Until cleanup is approved, "keyferry rollback" would still bring everything back.',
  );
  await keyferry.type(['approve', 'cutover', '--reason', 'census and reads are clean']);
  narrator.gap();
  await watch.until(
    'the gate of the cleanup',
    ({ phase, state }) => phase === 'cutover' && state === 'waiting',
  );
}

/** The point of no return, and what is left to read about it. */
export async function cleanUp({ lab, narrator, keyferry, watch }: Scene): Promise<void> {
  narrator.section(
    'Cleanup: the point of no return',
    'The kept copies of the old configuration, with the old key in them, go.',
  );
  await keyferry.type(['approve', 'cleanup', '--reason', 'seen enough']);
  narrator.gap();
  await watch.until('the end', ({ phase }) => phase === 'completed');
  await keyferry.type(['report'], { shorten: withoutChecks });
  await keyferry.type(['census', '-f', lab.paths.migration]);
}

/** The checks were shown by preflight. */
function withoutChecks(report: string): string {
  const [first = '', ...rest] = report.split('\n\n');
  return [first, ...rest.filter((part) => !/^\s+CHECK\s/.test(part))].join('\n\n');
}
