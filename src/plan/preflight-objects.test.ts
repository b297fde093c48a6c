import { describe, expect, it } from '@jest/globals';
import type { AdmissionHook } from '../cluster/admission.ts';
import type { SampleReads, QuickCount, UnreadObject } from '../census/survey.ts';
import {
  judgeAdmission,
  judgeConversion,
  judgeReads,
  judgeTargetName,
  type AdmissionFindings,
} from './preflight-objects.ts';

const MB = 1e6;
const counted = (change: Partial<QuickCount> = {}): { answer: QuickCount } => ({
  answer: { rows: [], objects: 100, bytes: 100 * MB, outside: 100, growth: 0, resources: [], ...change },
});
const reads = (...failures: UnreadObject[]): { answer: SampleReads } => ({
  answer: { read: 20, failures, moreFailures: 0 },
});
const manyFailed = { answer: { read: 20, failures: [], moreFailures: 7 } };
const VAULT = { type: 'kms', name: 'vault' } as const;
const trouble = { trouble: { message: 'no answer', remedy: 'start it' } };

const unread: UnreadObject = {
  resource: 'secrets',
  namespace: 'a',
  name: 'lost',
  apiServer: 'cp-1',
  status: 500,
  under: 'aescbc gone',
  reason: 'InternalError',
  remedy: '',
};

describe('objects that can not be read', () => {
  it('none => pass', () => expect(judgeReads(reads(), 'Reload').outcome).toBe('pass'));
  it('are named once, with what they lie under and who could not read them', () => {
    const check = judgeReads(reads(unread, { ...unread, apiServer: 'cp-2' }, unread), 'Reload');
    expect(check.outcome).toBe('warn');
    expect(check.detail).toMatch(
      /^secrets a\/lost \(under aescbc gone; 500 InternalError\) through cp-1, cp-2;/,
    );
    expect(check.remedy).toContain('keyferry waive');
  });
  it('stop a migration from the start that would restart API servers: none would get ready again', () => {
    const check = judgeReads(reads(unread), 'Restart');
    expect(check.outcome).toBe('fail');
    expect(check.remedy).not.toContain('waive');
  });
  it('beyond those that have room are counted', () =>
    expect(
      judgeReads({ answer: { read: 20, failures: [unread], moreFailures: 7 } }, 'Reload').detail,
    ).toContain('and 7 more'));
  it('are not known where an API server does not answer => fail', () =>
    expect(judgeReads(trouble, 'Reload').outcome).toBe('fail'));
});

describe("the target's name", () => {
  const row = { resource: 'secrets', provider: 'kms v2', key: 'vault', keyId: 'k', count: 3 };
  const under = (...rows: QuickCount['rows']): { answer: QuickCount } => counted({ rows });
  it('that nothing lies under is free, whatever else can not be read', () => {
    const others = under({ ...row, key: 'other' }, { ...row, provider: 'kms v1' });
    expect(judgeTargetName(others, manyFailed, VAULT)?.outcome).toBe('pass');
  });
  it('under which all can be read may be used: it is the same provider', () =>
    expect(judgeTargetName(under(row), reads(unread), VAULT)?.outcome).toBe('pass'));
  it('under which something can not be read is taken by other material', () => {
    const failure = { ...unread, under: 'kms vault, key id k', provider: 'kms vault' };
    expect(judgeTargetName(under(row), reads(failure), VAULT)).toMatchObject({
      outcome: 'fail',
      detail: expect.stringContaining('3 objects lie under kms vault already'),
    });
  });
  it('is taken for such where more failed than was looked at, or nothing could be read', () => {
    expect(judgeTargetName(under(row), manyFailed, VAULT)?.outcome).toBe('fail');
    expect(judgeTargetName(under(row), trouble, VAULT)?.outcome).toBe('fail');
  });
  it('is not known by the rows alone, where there are too many kinds to name', () => {
    const { key: _key, keyId: _keyId, ...nameless } = row;
    expect(judgeTargetName(under(nameless), reads(), VAULT)?.outcome).toBe('pass');
    expect(judgeTargetName(under(nameless), manyFailed, VAULT)?.outcome).toBe('fail');
  });
  it('that objects lie under with other material is taken, of a local key too', () => {
    const failure = { ...unread, under: 'aescbc key2', provider: 'aescbc key2' };
    const local = { type: 'aescbc', keyName: 'key2' } as const;
    const rows = under({ ...row, provider: 'aescbc', key: 'key2' });
    expect(judgeTargetName(rows, reads(failure), local)?.outcome).toBe('fail');
    expect(judgeTargetName(rows, reads(), local)?.outcome).toBe('pass');
  });
  it('is of no matter to what is not encrypted', () =>
    expect(judgeTargetName(under(row), manyFailed, { type: 'identity' })).toBeUndefined());
  it('is not known where etcd could not be counted => fail', () =>
    expect(judgeTargetName(trouble, trouble, VAULT)?.outcome).toBe('fail'));
});

describe('conversion of a custom resource', () => {
  const found = (needed: boolean, failures: { version: string; status: number }[]) => ({
    answer: { resource: 'widgets.example.com', needed, tried: { name: 'a' }, failures },
  });
  const broken = [{ version: 'v2', status: 500 }];
  it('without a webhook is no check', () =>
    expect(judgeConversion('secrets', { answer: undefined })).toBeUndefined());
  it('that works => pass', () => expect(judgeConversion('w', found(true, []))?.outcome).toBe('pass'));
  it('that is needed and fails => fail', () =>
    expect(judgeConversion('w', found(true, broken))?.outcome).toBe('fail'));
  it('that no rewrite needs and fails => warn', () =>
    expect(judgeConversion('w', found(false, broken))?.outcome).toBe('warn'));
});

describe('admission of updates', () => {
  const hook: AdmissionHook = {
    kind: 'webhook',
    name: 'guard.example.com',
    from: 'ValidatingWebhookConfiguration guard',
    failurePolicy: 'Fail',
    matches: [],
    conditional: false,
  };
  const findings: AdmissionFindings = {
    hooks: [hook],
    probes: [{ resource: 'secrets', namespace: 'a', refusals: [] }],
    namespaces: 4,
    groupsLeft: 0,
    passedOver: [],
    stuck: [],
  };
  const judge = (change: Partial<AdmissionFindings>) =>
    judgeAdmission('secrets', { answer: { ...findings, ...change } });
  const refusedBy = (reason: string) => [
    { resource: 'secrets', namespace: 'a', refusals: [{ apiServer: 'cp-1', status: 500, reason }] },
  ];

  it('that was granted => pass, with what it was tried on', () =>
    expect(judge({})).toMatchObject({
      outcome: 'pass',
      detail: 'webhook guard.example.com (Fail): tried in a, which stand for 4 namespaces',
    }));
  it('by a webhook that does not answer => fail, with its configuration and failurePolicy', () =>
    expect(
      judge({ probes: refusedBy('InternalError; webhook guard.example.com did not answer') }),
    ).toMatchObject({
      outcome: 'fail',
      detail: expect.stringContaining(
        'webhook guard.example.com did not answer (ValidatingWebhookConfiguration guard, failurePolicy Fail)',
      ),
    }));
  it('that is denied holds only the objects that it is denied to => warn', () =>
    expect(judge({ probes: refusedBy('Forbidden; denied by webhook guard.example.com') })).toMatchObject({
      outcome: 'warn',
      remedy: expect.stringContaining('keyferry waive'),
    }));
  it.each([
    ['of webhooks that are passed over', { passedOver: ['guard.example.com'] }, 'failurePolicy Ignore'],
    ['of namespaces that were not tried', { groupsLeft: 3 }, '3 further kinds of namespaces'],
    [
      'of probes that could not be deleted',
      { stuck: ['secrets a/keyferry-probe-1 (500)'] },
      'keyferry-probe-1',
    ],
  ])('is warned %s', (_, change, said) => {
    const check = judge(change);
    expect(check).toMatchObject({ outcome: 'warn', detail: expect.stringContaining(said) });
    expect(check.remedy).toMatch(/\S/);
  });
  it('says which webhooks are asked about some objects only', () =>
    expect(judge({ hooks: [{ ...hook, conditional: true }] }).detail).toContain('only for some objects'));
});
