import { describe, expect, it } from '@jest/globals';
import { namesMet } from './names.ts';

describe('the names that values are told by', () => {
  const kms = { type: 'kms', name: 'vault', endpoint: 'unix:///run/vault.sock' } as const;

  it('are those in the files of all nodes, each once', () => {
    const local = { type: 'aescbc', keyNames: ['key1', 'a:b'] } as const;
    expect(namesMet([local, { type: 'identity' }, local], { type: 'kms', name: 'vault' })).toEqual([
      { type: 'aescbc', keyName: 'key1' },
      { type: 'aescbc', keyName: 'a:b' },
    ]);
  });
  it('are that of a local target too, before any file holds it', () => {
    const target = { type: 'secretbox', keyName: 'new' } as const;
    expect(namesMet([{ type: 'identity' }], target)).toEqual([target]);
    expect(namesMet([{ type: 'secretbox', keyNames: ['new'] }], target)).toEqual([target]);
  });
  it('are not those of kms v2, which hold no colon, but those of v1', () => {
    expect(namesMet([{ ...kms, apiVersion: 'v2' }], { type: 'identity' })).toEqual([]);
    expect(namesMet([{ ...kms, apiVersion: 'v1' }], { type: 'identity' })).toEqual([
      { type: 'kms-v1', name: 'vault' },
    ]);
  });
});
