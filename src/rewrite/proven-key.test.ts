import { describe, expect, it } from '@jest/globals';
import { hashInMetrics } from '../cluster/metric-hash.ts';
import type { KmsConnector } from '../encryption-config/index.ts';
import { sealingOnlyUnder } from './proven-key.ts';

const SEED = { seed: Buffer.alloc(32), keyId: 'key-2', encryptedDekSource: Buffer.of(1) };
const plugins: KmsConnector = {
  v1: () => ({ decrypt: () => Promise.resolve(Buffer.of(1)) }),
  v2: () => ({
    decrypt: () => Promise.resolve(Buffer.of(2)),
    keyId: () => Promise.resolve(SEED.keyId),
    writer: () => Promise.resolve(SEED),
  }),
};
const ENTRY = { name: 'vault', endpoint: 'unix:///p.sock', timeoutMs: 1_000 };

describe('a plugin seals for the engine', () => {
  it('under the key id that API servers were proven to seal with', async () => {
    const proven = { provider: 'vault', keyIdHash: hashInMetrics('key-2') };
    expect(await sealingOnlyUnder(proven, plugins).v2(ENTRY).writer()).toBe(SEED);
  });

  it.each([
    ['another key id', { provider: 'vault', keyIdHash: hashInMetrics('key-1') }],
    ["another provider's", { provider: 'other', keyIdHash: hashInMetrics('key-2') }],
    ['none', undefined],
  ])('not at all where %s was proven, but opens', async (_, proven) => {
    const sources = sealingOnlyUnder(proven, plugins).v2(ENTRY);
    await expect(sources.writer()).rejects.toMatchObject({ code: 'UnprovenKeyId', retryable: true });
    expect(await sources.decrypt({} as never)).toEqual(Buffer.of(2));
    expect(await sources.keyId()).toBe('key-2');
  });
});
