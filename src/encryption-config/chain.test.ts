import { describe, expect, it } from '@jest/globals';
import { providersFor, writerOf } from './chain.ts';
import type { ConfigurationEntry, ProviderSummary } from './types.ts';

const keys = (...keyNames: string[]): ProviderSummary => ({ type: 'aescbc', keyNames });
const identity: ProviderSummary = { type: 'identity' };
const entry = (resources: string[], ...providers: ProviderSummary[]): ConfigurationEntry => ({
  resources,
  providers,
});

describe('the providers of a resource', () => {
  const entries = [
    entry(['secrets', 'widgets.example.com'], keys('a')),
    entry(['secrets.'], keys('b'), identity),
    entry(['*.'], keys('core')),
    entry(['*.apps'], keys('apps')),
    entry(['*.*'], keys('all')),
  ];
  it.each([
    ['add up over the entries that name it, and hide wildcards', 'secrets', [keys('a'), keys('b'), identity]],
    ['are told apart by group', 'secrets.example.com', [keys('all')]],
    ['are those of a custom resource', 'widgets.example.com', [keys('a')]],
    ['are those of the core group', 'configmaps', [keys('core')]],
    ['are those of its group before those of everything', 'deployments.apps', [keys('apps')]],
    ['are those of everything', 'roles.rbac.authorization.k8s.io', [keys('all')]],
  ])('%s', (_, resource, providers) => expect(providersFor({ entries }, resource)).toEqual(providers));

  it('are identity when no entry covers it', () => {
    expect(providersFor({ entries: [entry(['pods'], keys('a'))] }, 'secrets')).toEqual([identity]);
  });
});

describe('the writer of a resource', () => {
  it('is the first provider with its first key', () => {
    expect(writerOf({ entries: [entry(['secrets'], keys('a', 'b'), identity)] }, 'secrets')).toEqual({
      type: 'aescbc',
      keyName: 'a',
    });
  });
  it('is identity when no entry covers it', () => {
    expect(writerOf({ entries: [] }, 'secrets')).toEqual({ type: 'identity' });
  });
});
