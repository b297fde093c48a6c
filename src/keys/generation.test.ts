import { describe, expect, it } from '@jest/globals';
import { withGeneration } from './generation.ts';
import { InMemoryTestDoubleKeyService } from './in-memory.test-helper.ts';

const seed = Buffer.from('a seed of 32 bytes for this test');

describe('the generation of a key', () => {
  it('leaves key ids as they are when it is the first', async () => {
    const keys = new InMemoryTestDoubleKeyService();
    expect(await withGeneration(keys, 1).current()).toEqual(await keys.current());
  });

  it('tells A from A after B, on every node alike', async () => {
    const keys = new InMemoryTestDoubleKeyService();
    const [a, again, elsewhere] = [1, 2, 2].map((generation) => withGeneration(keys, generation));
    expect((await again?.current())?.keyId).toBe('in-memory-test-double/v1;generation=2');
    expect(await elsewhere?.current()).toEqual(await again?.current());
    expect((await a?.current())?.keyId).not.toBe((await again?.current())?.keyId);
  });

  it('opens what any generation sealed', async () => {
    const keys = new InMemoryTestDoubleKeyService();
    const generations = [1, 2, 12].map((generation) => withGeneration(keys, generation));
    for (const sealer of generations) {
      const version = await sealer.current();
      const sealed = await sealer.encrypt(seed, version);
      for (const opener of generations) expect(await opener.decrypt(sealed, version.keyId)).toEqual(seed);
    }
  });
});
