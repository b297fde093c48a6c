import { describe, expect, it } from '@jest/globals';
import { histogramOf, samplesOf, sumOf } from './prometheus.ts';

// As kube-apiserver and etcd write it.
const TEXT = `# HELP queued Number of requests
# TYPE queued gauge
queued{flow_schema="a{b}c",priority_level="x"} 2
queued{flow_schema="d",priority_level="x"} 3
queued_seats{flow_schema="d"} 100
resident 3.59378944e+08
calls_bucket{code="OK",le="0.1"} 4
calls_bucket{code="OK",le="+Inf"} 5
calls_bucket{code="Unavailable",le="0.1"} 7
calls_bucket{code="Unavailable",le="+Inf"} 8
calls_count{code="OK"} 5
`;

describe("Prometheus' text format", () => {
  it('is read for the samples of one metric, and not of those whose names begin with its own', () => {
    expect(samplesOf(TEXT, 'queued')).toEqual([
      { labels: 'flow_schema="a{b}c",priority_level="x"', value: 2 },
      { labels: 'flow_schema="d",priority_level="x"', value: 3 },
    ]);
  });
  it('adds up a metric, also one without labels', () => {
    expect([sumOf(TEXT, 'queued'), sumOf(TEXT, 'resident'), sumOf(TEXT, 'absent')]).toEqual([
      5,
      359378944,
      undefined,
    ]);
  });
  it('adds up the buckets of a histogram, or those of one label', () => {
    expect(histogramOf(TEXT, 'calls')).toEqual([
      { upTo: 0.1, count: 11 },
      { upTo: Infinity, count: 13 },
    ]);
    expect(histogramOf(TEXT, 'calls', (labels) => labels.includes('code="OK"'))?.at(-1)?.count).toBe(5);
    expect(histogramOf(TEXT, 'absent')).toBeUndefined();
  });
});
