import { describe, expect, test } from '@jest/globals';
import type { NodeFindings } from './preflight.ts';
import { rotationChecks, rotationOf } from './preflight-rotation.ts';

function node(name: string, rotation?: NodeFindings['rotation']): NodeFindings {
  return {
    node: name,
    file: '/config.yaml',
    providers: [],
    troubles: [],
    canRestart: false,
    ...(rotation === undefined ? {} : { rotation }),
  };
}

const versions = (name: string, announced: string, newest: string): NodeFindings =>
  node(name, { answer: { announced, newest } });

describe('preflight of a rotation', () => {
  test('says nothing of other migrations', () => {
    expect(rotationChecks([node('cp-1'), node('cp-2')])).toEqual([]);
    expect(rotationOf([node('cp-1')])).toBeUndefined();
  });

  test('passes where every plugin goes from one version to one newer version', () => {
    const nodes = [versions('cp-1', 'v1', 'v2'), versions('cp-2', 'v1', 'v2')];
    expect(rotationChecks(nodes)).toMatchObject([{ outcome: 'pass', detail: 'from v1 to v2' }]);
    expect(rotationOf(nodes)).toMatchObject({ source: 'v1', target: 'v2' });
  });

  test('fails where a plugin is not led, and says on which node', () => {
    const trouble = { message: 'it lets nobody lead it', remedy: 'give it a ledger' };
    const checks = rotationChecks([versions('cp-1', 'v1', 'v2'), node('cp-2', { trouble })]);
    expect(checks).toEqual([
      {
        name: 'rotation on cp-2',
        outcome: 'fail',
        detail: 'it lets nobody lead it',
        remedy: 'give it a ledger',
      },
    ]);
  });

  test('warns where some plugins announce the newer version already: they are brought back first', () => {
    for (const ahead of ['v2', 'v2;generation=2']) {
      const nodes = [versions('cp-1', ahead, ahead), versions('cp-2', 'v1', 'v2')];
      expect(rotationChecks(nodes)).toMatchObject([{ outcome: 'warn' }]);
      expect(rotationOf(nodes)).toEqual({ source: 'v1', target: 'v2' });
    }
    const back = [versions('cp-1', 'v1;generation=2', 'v2;generation=2'), versions('cp-2', 'v1', 'v2')];
    expect(rotationChecks(back)).toMatchObject([{ outcome: 'warn' }]);
    expect(rotationOf(back)).toMatchObject({ target: 'v2' });
  });

  test('fails where plugins announce two older versions', () => {
    const nodes = [versions('cp-1', 'v1', 'v3'), versions('cp-2', 'v2', 'v3')];
    expect(rotationChecks(nodes)).toMatchObject([
      { outcome: 'fail', detail: 'plugins announce v1 and v2, and the newest is v3' },
    ]);
    expect(rotationOf(nodes)).toBeUndefined();
  });

  test('looks again where one has not seen the newer version yet', () => {
    const nodes = [versions('cp-1', 'v1', 'v2'), versions('cp-2', 'v1', 'v1')];
    expect(rotationChecks(nodes)).toMatchObject([{ outcome: 'fail', passing: true }]);
    expect(rotationOf(nodes)).toBeUndefined();
  });

  test('does not mind plugins that would announce the version under different generations', () => {
    const nodes = [versions('cp-1', 'v1', 'v2'), versions('cp-2', 'v1', 'v2;generation=2')];
    expect(rotationChecks(nodes)).toMatchObject([{ outcome: 'pass' }]);
    expect(rotationOf(nodes)).toEqual({ source: 'v1', target: 'v2' });
  });

  test('fails where the key was not rotated, whatever generation of it is announced', () => {
    for (const announced of ['v1', 'v1;generation=3']) {
      expect(rotationChecks([versions('cp-1', announced, 'v1')])).toMatchObject([
        { outcome: 'fail', passing: true, remedy: expect.stringMatching(/^rotate the key/) as unknown },
      ]);
    }
  });
});
