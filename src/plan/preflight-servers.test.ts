import { describe, expect, it } from '@jest/globals';
import { passingTrouble, type Check } from './preflight.ts';
import {
  judgeClocks,
  judgeEtcd,
  judgeEtcdVersion,
  judgeHolder,
  judgeServers,
  judgeStrangers,
  type ServerFindings,
} from './preflight-servers.ts';
import { IDLE } from './server-load.test-helper.ts';

const HASH = `sha256:${'a'.repeat(64)}`;

function server(name: string, change: Partial<ServerFindings> = {}, loaded: object = {}): ServerFindings {
  return {
    name,
    node: name,
    file: '/etc/kubernetes/encryption/config.yaml',
    fileHash: HASH,
    version: { answer: { gitVersion: 'v1.36.3', aheadMs: 0 } },
    loaded: {
      answer: {
        hash: HASH,
        kmsReady: true,
        kmsDetail: 'ok',
        reloadsItself: true,
        failedReloads: 0,
        keyIdHashes: {},
        loaded: { startedAt: 1, reloads: 0 },
        load: { ...IDLE, name },
        ...loaded,
      },
    },
    ...change,
  };
}

const at = (name: string, gitVersion: string): ServerFindings =>
  server(name, { version: { answer: { gitVersion, aheadMs: 0 } } });

function outcomeOf(checks: readonly Check[], name: string): string | undefined {
  return checks.find((check) => check.name === name)?.outcome;
}

const VERSIONS = 'versions of the API servers';

describe('versions of API servers', () => {
  it.each([
    ['the same', ['v1.36.3', 'v1.36.3'], 'pass'],
    ['one minor version apart, as amid an upgrade', ['v1.35.9', 'v1.36.0'], 'pass'],
    ['with what distributions append', ['v1.34.1+k3s1', 'v1.34.5-eks-113cf36'], 'pass'],
    ['two minor versions apart', ['v1.34.0', 'v1.36.0'], 'fail'],
    ["too old to tell the loaded file's hash", ['v1.33.9', 'v1.34.0'], 'fail'],
    ['that are none of Kubernetes', ['v0.0.0-master+$Format:%H$'], 'warn'],
  ])('%s', (_, all, outcome) => {
    const checks = judgeServers(
      all.map((version, i) => at(`cp-${i + 1}`, version)),
      'Reload',
    );
    expect(outcomeOf(checks, VERSIONS)).toBe(outcome);
  });
});

describe('what a server has loaded', () => {
  it('its file => pass', () => {
    const checks = judgeServers([server('cp-1')], 'Reload');
    expect(checks.map(({ outcome }) => outcome)).toEqual(['pass', 'pass', 'pass', 'pass']);
  });
  it('another file than its node has => fail', () => {
    const checks = judgeServers([server('cp-1', {}, { hash: 'sha256:b' })], 'Reload');
    expect(outcomeOf(checks, 'configuration taken up by cp-1')).toBe('fail');
  });
  it('none at all => it says which flags to add, and where the file goes', () => {
    const [found] = judgeServers(
      [server('cp-1', {}, { hash: undefined, reloadsItself: false })],
      'Reload',
    ).filter(({ outcome }) => outcome === 'fail');
    expect(found?.detail).toContain('runs without --encryption-provider-config');
    expect(found?.remedy).toContain('--encryption-provider-config=/etc/kubernetes/encryption/config.yaml');
    expect(found?.remedy).toContain('--encryption-provider-config-automatic-reload=true');
  });
  it('none that an old version would tell => upgrade', () => {
    const old = server(
      'cp-1',
      { version: { answer: { gitVersion: 'v1.30.1', aheadMs: 0 } } },
      { hash: undefined },
    );
    const check = judgeServers([old], 'Reload').find(({ name }) => name.startsWith('configuration'));
    expect(check?.remedy).toContain('upgrade');
  });
  it('a file that it would never take up again => fail, but not where it is restarted anyway', () => {
    const stiff = server('cp-1', {}, { reloadsItself: false });
    expect(outcomeOf(judgeServers([stiff], 'Reload'), 'reload by cp-1')).toBe('fail');
    expect(outcomeOf(judgeServers([stiff], 'Restart'), 'reload by cp-1')).toBeUndefined();
  });
  it('nothing that is known, for it does not answer => one failed check', () => {
    const trouble = { trouble: { message: 'no answer', remedy: 'start it' } };
    const silent = server('cp-1', { version: trouble, loaded: trouble });
    delete silent.fileHash;
    expect(judgeServers([silent], 'Reload')).toEqual([
      { name: 'API server cp-1 reachable', outcome: 'fail', detail: 'no answer', remedy: 'start it' },
    ]);
  });
});

describe('another migration', () => {
  it('that holds the Lease => warn, by name', () =>
    expect(judgeHolder({ answer: 'one-1111' })).toMatchObject({
      outcome: 'warn',
      detail: expect.stringContaining('one-1111'),
    }));
  it('that is not there => pass', () => expect(judgeHolder({ answer: undefined }).outcome).toBe('pass'));
});

describe('what failed', () => {
  const away = { trouble: { message: 'no answer', remedy: 'start it', retryable: true } };
  it('for a server that is away may pass, whatever else failed', () => {
    const checks = judgeServers([server('cp-1', { version: away, loaded: away })], 'Reload');
    expect(passingTrouble([{ name: 'other', outcome: 'fail', detail: '' }, ...checks])).toMatchObject({
      name: 'API server cp-1 reachable',
    });
  });
  it('for what only a person can mend does not', () => {
    const checks = judgeServers([server('cp-1', {}, { reloadsItself: false })], 'Reload');
    expect(checks.some(({ outcome }) => outcome === 'fail')).toBe(true);
    expect(passingTrouble(checks)).toBeUndefined();
  });
});

describe('the list of API servers', () => {
  it('is complete without strangers', () =>
    expect(judgeStrangers({ answer: { servers: [{ name: 'cp-1' }], strangers: [] } }).outcome).toBe('pass'));
  it('is worth another look where a listed one was silent: it may be that', () => {
    const strangers = ['cp-2 (Lease x)'];
    const judge = (silent?: string) =>
      judgeStrangers({
        answer: { servers: [{ name: 'cp-2', ...(silent === undefined ? {} : { silent }) }], strangers },
      });
    expect(passingTrouble([judge('no answer')])).toBeDefined();
    expect(passingTrouble([judge()])).toBeUndefined();
  });
  it('is not with one, by name', () => {
    const check = judgeStrangers({ answer: { servers: [], strangers: ['cp-9 (Lease apiserver-x)'] } });
    expect(check).toMatchObject({ outcome: 'fail', detail: 'not on the list: cp-9 (Lease apiserver-x)' });
  });
});

describe('clocks', () => {
  it('agree within seconds', () =>
    expect(judgeClocks([{ name: 'cp-1', aheadMs: 4_000 }]).outcome).toBe('pass'));
  it('that differ from this worker are told of', () =>
    expect(judgeClocks([{ name: 'cp-1', aheadMs: -61_000 }])).toMatchObject({
      outcome: 'warn',
      detail: 'this worker is 61 s or more ahead of cp-1',
    }));
  it('that differ from each other are, too', () =>
    expect(
      judgeClocks([
        { name: 'cp-1', aheadMs: -4_000 },
        { name: 'cp-2', aheadMs: 4_000 },
      ]),
    ).toMatchObject({ outcome: 'warn', detail: 'cp-2 is 8 s or more ahead of cp-1' }));
});

describe('the oldest version of etcd', () => {
  it.each([
    ['3.5.0', 'pass'],
    ['3.6.16', 'pass'],
    ['3.4.34', 'warn'],
  ])('%s => %s', (version, outcome) =>
    expect(judgeEtcdVersion({ version, members: [], dbSize: 0, alarms: [] }).outcome).toBe(outcome),
  );
});

describe('etcd', () => {
  const healthy = { version: '3.6.16', dbSize: 1e6, alarms: [], members: [] };
  it('that answers => pass', () => expect(judgeEtcd(healthy).outcome).toBe('pass'));
  it('with an alarm => fail', () =>
    expect(judgeEtcd({ ...healthy, alarms: ['NOSPACE (member 1)'] }).outcome).toBe('fail'));
  it('of which a member is silent => warn', () =>
    expect(judgeEtcd({ ...healthy, members: [{ endpoint: 'https://b', silent: 'gone' }] })).toMatchObject({
      outcome: 'warn',
      detail: '1 of 1 members did not answer: https://b: gone',
    }));
});
