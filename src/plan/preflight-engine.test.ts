import { describe, expect, it } from '@jest/globals';
import { judgeEtcdEngine } from './preflight-engine.ts';

const FOUND = { silent: [], tried: 20, unopened: 0 };

describe('a node that is to rewrite in etcd', () => {
  it.each([
    ['passes when it opens all that it tried', FOUND, 'pass'],
    ['passes in a cluster without objects', { ...FOUND, tried: 0 }, 'pass'],
    ['is warned of objects that it does not open', { ...FOUND, unopened: 1 }, 'warn'],
    ['fails when it opens none', { ...FOUND, unopened: 20 }, 'fail'],
    ['fails when it reaches an API server not', { ...FOUND, silent: ['cp-2'] }, 'fail'],
  ])('%s', (_, answer, outcome) => {
    expect(judgeEtcdEngine('cp-1', { answer })).toMatchObject({ name: 'engine Etcd on cp-1', outcome });
  });

  it('fails for now when etcd does not answer it', () => {
    const trouble = { message: 'etcd did not answer', remedy: 'open the port', retryable: true };
    expect(judgeEtcdEngine('cp-1', { trouble })).toMatchObject({
      outcome: 'fail',
      passing: true,
      ...{ detail: trouble.message },
    });
  });
});
