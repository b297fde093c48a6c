import { describe, expect, test } from '@jest/globals';
import { changesIn, type Expected, type ServerLook } from './watch.ts';

const proven = { startedAt: 1_000, reloads: 2 };
const server: ServerLook = { name: 'cp-1', hash: 'sha256:a', ...proven, keyIdHashes: { vault: 'sha256:k1' } };
const expected: Expected = {
  hashes: ['sha256:a'],
  loaded: proven,
  sealing: { provider: 'vault', keyIdHash: 'sha256:k1' },
};

function kindsOf(look: Partial<ServerLook>, change: Partial<Expected> = {}): string[] {
  const changes = changesIn(
    { servers: [{ ...server, ...look }], strangers: [] },
    { 'cp-1': { ...expected, ...change } },
  );
  return changes.map(({ kind, byKeyId }) => (byKeyId === true ? `${kind} by key id` : kind));
}

describe('an API server differs from what was proven of it', () => {
  test('not while it is the same process, with the same file and key id', () => {
    expect(kindsOf({})).toEqual([]);
  });
  test('not while it is silent', () => {
    expect(kindsOf({ silent: 'no answer', hash: 'sha256:b' })).toEqual([]);
  });
  test('when it runs another file', () => {
    expect(kindsOf({ hash: 'sha256:b' })).toEqual(['drifted']);
  });
  test('when it took up another file, and then this one again', () => {
    expect(kindsOf({ reloads: 4 })).toEqual(['drifted']);
  });
  test('when it is another process', () => {
    expect(kindsOf({ startedAt: 2_000 })).toEqual(['restarted']);
  });
  test("not when a clock that was set shifts its process's start by a second", () => {
    expect(kindsOf({ startedAt: 1_001 })).toEqual([]);
  });
  test('when its plugin told it another key id', () => {
    expect(kindsOf({ keyIdHashes: { vault: 'sha256:k2' } })).toEqual(['drifted by key id']);
  });
  test('not by the key id of a provider that nothing is sealed with', () => {
    expect(kindsOf({ keyIdHashes: { vault: 'sha256:k1', old: 'sha256:k9' } })).toEqual([]);
    expect(kindsOf({ keyIdHashes: { vault: 'sha256:k2' } }, { sealing: undefined })).toEqual([]);
  });
  test('not by the key id of a process that was told none yet', () => {
    expect(kindsOf({ keyIdHashes: {} })).toEqual([]);
  });
});
