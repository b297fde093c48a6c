import { describe, expect, it } from '@jest/globals';
import type { NodeFindings } from './preflight.ts';
import { sealBytesOf } from './seal-bytes.ts';

describe('what plugins add to each value', () => {
  const node = (target?: number, source?: number): NodeFindings => {
    const found = (sealBytes?: number) => ({
      keyId: 'k',
      latencyMs: 1,
      problems: [],
      ...(sealBytes === undefined ? {} : { sealBytes }),
    });
    return { plugin: found(target), sourcePlugin: found(source) } as unknown as NodeFindings;
  };
  it('is the most of the targets, and the least of the sources', () =>
    expect(sealBytesOf([node(300, 200), node(310, 190)])).toEqual({ target: 310, source: 190 }));
  it('is not known where no agent tells', () => expect(sealBytesOf([node(), node()])).toEqual({}));
});
