import type { Histogram } from '../plan/gauges.ts';

interface Sample {
  /** As they stand between the braces. */
  labels: string;
  value: number;
}

/** The samples of one metric, in Prometheus' text format. */
export function samplesOf(text: string, name: string): Sample[] {
  const lines = text.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? ([^ \\n]+)$`, 'gm'));
  return [...lines].map(([, labels = '', value]) => ({ labels, value: Number(value) }));
}

/** A metric's samples added up; undefined where there is none. */
export function sumOf(text: string, name: string): number | undefined {
  const samples = samplesOf(text, name);
  return samples.length === 0 ? undefined : samples.reduce((sum, { value }) => sum + value, 0);
}

/**
 * The buckets of a histogram, added up over all its labels; undefined where there is none.
 *
 * @param fits - by its labels, whether a sample counts: `code="OK",le="0.1"`
 */
export function histogramOf(
  text: string,
  name: string,
  fits: (labels: string) => boolean = () => true,
): Histogram | undefined {
  const counts = new Map<number, number>();
  for (const { labels, value } of samplesOf(text, `${name}_bucket`)) {
    if (!fits(labels)) continue;
    const le = /(?:^|,)le="([^"]+)"/.exec(labels)?.[1];
    if (le === undefined) continue;
    const bound = le === '+Inf' ? Infinity : Number(le);
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  if (counts.size === 0) return undefined;
  return [...counts].map(([upTo, count]) => ({ upTo, count })).sort((a, b) => a.upTo - b.upTo);
}
