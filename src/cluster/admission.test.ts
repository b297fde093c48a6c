import { describe, expect, it } from '@jest/globals';
import {
  activeNamespaces,
  admissionHooks,
  appliesIn,
  hooksOn,
  selects,
  type AdmissionHook,
} from './admission.ts';
import type { ApiResponse, ApiServer } from './api-server.ts';
import { SECRETS } from './resources.test-helper.ts';

const rule = { apiGroups: [''], operations: ['UPDATE'], resources: ['secrets'] };

function hook(...matches: AdmissionHook['matches']): AdmissionHook {
  return { kind: 'webhook', name: 'a', from: 'a', failurePolicy: 'Fail', matches, conditional: false };
}
const asked = (...matches: AdmissionHook['matches']): boolean =>
  hooksOn(SECRETS, [hook(...matches)]).length === 1;

describe('a hook is asked about updates of secrets', () => {
  it.each([
    ['by a rule for them', { rules: [rule] }],
    ['by a rule for everything', { rules: [{ apiGroups: ['*'], operations: ['*'], resources: ['*/*'] }] }],
    ['by a rule for them and what lies below', { rules: [{ ...rule, resources: ['secrets/*'] }] }],
    ['by one of several rules', { rules: [{ ...rule, resources: ['pods'] }, rule] }],
    ['without rules, as a binding is', {}],
    [
      'where single objects are excluded',
      { rules: [rule], excludeRules: [{ ...rule, resourceNames: ['a'] }] },
    ],
  ])('%s', (_, match) => expect(asked(match)).toBe(true));
});

describe('a hook is not asked about updates of secrets', () => {
  it.each([
    ['by a rule for creations', { rules: [{ ...rule, operations: ['CREATE'] }] }],
    ['by a rule for another group', { rules: [{ ...rule, apiGroups: ['apps'] }] }],
    ['by a rule for another resource', { rules: [{ ...rule, resources: ['configmaps', 'pods/*'] }] }],
    ['by a rule for what has no namespace', { rules: [{ ...rule, scope: 'Cluster' }] }],
    ['where they are excluded', { rules: [rule], excludeRules: [rule] }],
  ])('%s', (_, match) => expect(asked(match)).toBe(false));
  it('where policy and binding have rules, and only one is for them', () =>
    expect(asked({ rules: [rule] }, { rules: [{ ...rule, resources: ['pods'] }] })).toBe(false));
});

describe('a selector', () => {
  const labels = { team: 'a', tier: 'gold' };
  it.each([
    ['that is empty takes all', {}, true],
    ['takes a label of that value', { matchLabels: { team: 'a' } }, true],
    ['leaves another value', { matchLabels: { team: 'a', tier: 'iron' } }, false],
    ['In', { matchExpressions: [{ key: 'team', operator: 'In', values: ['b'] }] }, false],
    [
      'NotIn takes what has no such label',
      { matchExpressions: [{ key: 'x', operator: 'NotIn', values: ['b'] }] },
      true,
    ],
    ['Exists', { matchExpressions: [{ key: 'x', operator: 'Exists' }] }, false],
    ['DoesNotExist', { matchExpressions: [{ key: 'team', operator: 'DoesNotExist' }] }, false],
  ])('%s', (_, selector, taken) => expect(selects(selector, labels)).toBe(taken));
  it('of a policy and of its binding must both take a namespace', () => {
    const both = hook(
      { namespaceSelector: { matchLabels: { team: 'a' } } },
      { namespaceSelector: { matchLabels: { tier: 'iron' } } },
    );
    expect(appliesIn(both, { name: 'n', labels })).toBe(false);
  });
});

describe('a list of many pages', () => {
  const names = Array.from({ length: 1_200 }, (_, i) => `n${i}`);

  /** Stands for an API server whose etcd is compacted whenever `expired` says so; `asked` has the queries. */
  function mockServer(expired: (query: URLSearchParams) => boolean): { server: ApiServer; asked: string[] } {
    const asked: string[] = [];
    const request = ({ path }: { path: string }): Promise<ApiResponse> => {
      const [, query = ''] = path.split('?');
      const at = new URLSearchParams(query);
      asked.push(query);
      if (expired(at)) return Promise.resolve({ status: 410, body: { kind: 'Status' }, text: '' });
      const begin = Number(at.get('continue') ?? 0);
      const end = begin + Number(at.get('limit') ?? names.length);
      const items = names.slice(begin, end).map((name) => ({ metadata: { name } }));
      const metadata = end < names.length ? { continue: String(end) } : {};
      return Promise.resolve({ status: 200, body: { items, metadata }, text: '' });
    };
    return { server: { name: 'cp-1', request } as unknown as ApiServer, asked };
  }
  const listed = async (server: ApiServer) => (await activeNamespaces(server)).map(({ name }) => name);

  it('is read to its end', async () => {
    const { server, asked } = mockServer(() => false);
    expect(await listed(server)).toEqual(names);
    expect(asked).toEqual(['limit=500', 'limit=500&continue=500', 'limit=500&continue=1000']);
  });
  it.each(['500', '1000'])('has every item once, where it expires before item %s', async (at) => {
    const { server, asked } = mockServer((query) => query.get('continue') === at);
    expect(await listed(server)).toEqual(names);
    expect(asked.at(-1)).toBe('');
  });
  it('is never taken for an empty one, whatever is answered', async () => {
    const { server } = mockServer(() => true);
    await expect(admissionHooks(server)).rejects.toMatchObject({ code: 'UnavailableAdmission' });
  });
});
