import { describe, expect, it } from '@jest/globals';
import { objectKey, objectOf, objectPath, type Resource } from './resources.ts';
import { SECRETS } from './resources.test-helper.ts';

const roles: Resource = {
  name: 'clusterroles.rbac.authorization.k8s.io',
  apiPath: '/apis/rbac.authorization.k8s.io/v1',
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  plural: 'clusterroles',
  namespaced: false,
  etcdPrefix: '/registry/clusterroles/',
};

describe('a key of etcd leads to its object', () => {
  it('with a namespace', () => {
    const object = objectOf(SECRETS, '/registry/secrets/default/a');
    expect(object).toEqual({ namespace: 'default', name: 'a' });
    expect(objectPath(SECRETS, object)).toBe('/api/v1/namespaces/default/secrets/a');
  });
  it('without one, with its name percent-encoded', () => {
    const object = objectOf(roles, '/registry/clusterroles/system:a%b');
    expect(object).toEqual({ name: 'system:a%b' });
    expect(objectPath(roles, object)).toBe('/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Aa%25b');
  });
  it('with an empty namespace where it lacks one, and back', () => {
    const object = objectOf(SECRETS, '/registry/secrets/astray');
    expect(object).toEqual({ namespace: '', name: 'astray' });
    expect(objectKey(SECRETS, object)).toBe('/registry/secrets/astray');
  });
  it.each(['/registry/secrets/default/a', '/registry/secrets/default/a/b'])('and back: %s', (key) =>
    expect(objectKey(SECRETS, objectOf(SECRETS, key))).toBe(key),
  );
});
