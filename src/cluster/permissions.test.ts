import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { neededPermissions, storageVersionPermissions } from './permissions.ts';
import type { Resource } from './resources.ts';

interface Role {
  kind: string;
  metadata: { name: string; namespace?: string };
  rules: {
    apiGroups?: string[];
    resources?: string[];
    resourceNames?: string[];
    nonResourceURLs?: string[];
    verbs: string[];
  }[];
}

const roles = parseAllDocuments(readFileSync(new URL('../../deploy/rbac.yaml', import.meta.url), 'utf8'))
  .map((document) => document.toJS() as Role)
  .filter(({ kind }) => kind === 'Role' || kind === 'ClusterRole');

/** Every single right that the file grants, as one line each. */
const granted = roles.flatMap(({ metadata, rules }) =>
  rules.flatMap((rule) =>
    rule.verbs.flatMap((verb) => [
      ...(rule.nonResourceURLs ?? []).map((path) => `${verb} ${path}`),
      ...(rule.apiGroups ?? []).flatMap((group) =>
        (rule.resources ?? []).flatMap((resource) =>
          (rule.resourceNames ?? ['']).map((name) =>
            [verb, `${group}/${resource}`, name, metadata.namespace ?? ''].join(' '),
          ),
        ),
      ),
    ]),
  ),
);

function resource(plural: string, kind: string): Resource {
  return {
    name: plural,
    apiPath: '/api/v1',
    apiVersion: 'v1',
    kind,
    plural,
    namespaced: true,
    etcdPrefix: `/registry/${plural}/`,
  };
}

const custom = {
  ...resource('widgets', 'Widget'),
  apiVersion: 'example.com/v1',
  name: 'widgets.example.com',
};
const resources = [resource('secrets', 'Secret'), resource('configmaps', 'ConfigMap'), custom];
const needed = [
  ...neededPermissions(resources, 'kube-system', 'StorageVersionMigration'),
  ...storageVersionPermissions(resources, 'StorageVersionMigration'),
]
  .map(({ spec }) => {
    const { resourceAttributes: on, nonResourceAttributes: path } = spec;
    if (path !== undefined) return `${path.verb} ${path.path}`;
    // Migrated resources are granted cluster-wide; of Leases those in kube-system.
    const namespace = on?.resource === 'leases' ? on.namespace : '';
    const subresource = on?.subresource === undefined ? '' : `/${on.subresource}`;
    return [on?.verb, `${on?.group}/${on?.resource}${subresource}`, on?.name ?? '', namespace].join(' ');
  })
  .filter((line) => !line.includes('example.com/widgets'));

describe('deploy/rbac.yaml', () => {
  it('grants all that preflight asks for', () => {
    expect(needed.filter((right) => !granted.includes(right))).toEqual([]);
  });
  it('grants nothing else, but for the question itself', () => {
    expect(granted.filter((right) => !needed.includes(right))).toEqual([
      'create authorization.k8s.io/selfsubjectaccessreviews  ',
    ]);
  });
});
