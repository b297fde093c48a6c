import { KeyferryError } from '../errors.ts';
import type { MigrationSpec } from '../spec/migration.ts';
import type { StorageVersionMigrationSpec } from '../spec/storage-version-migration.ts';
import type { ApiServer } from './api-server.ts';
import type { Resource } from './resources.ts';

/** One thing that keyferry does, as an API server judges it. */
export interface Permission {
  words: string;
  spec: {
    resourceAttributes?: {
      verb: string;
      group: string;
      resource: string;
      subresource?: string;
      namespace?: string;
      name?: string;
    };
    nonResourceAttributes?: { path: string; verb: string };
  };
}

/** The Lease in kube-system that says which migration has the cluster. */
const LEASE = 'keyferry';

/**
 * What keyferry needs; deploy/rbac.yaml grants it.
 *
 * Creating and deleting is asked for in the canaries' namespace alone: where it isn't allowed elsewhere, admission is
 * tried there by dry runs.
 */
export function neededPermissions(
  resources: readonly Resource[],
  canaryNamespace: string,
  engine: MigrationSpec['engine'] = 'APIServer',
): Permission[] {
  const custom = resources.some((resource) => resource.apiVersion.includes('/'));
  return [
    // Rewriting, and the proof of reading; canaries.
    ...resources.flatMap((resource) => [
      ...['get', 'patch'].map((verb) => on(groupOf(resource), resource.plural, verb)),
      ...['create', 'delete'].map((verb) =>
        on(groupOf(resource), resource.plural, verb, resource.namespaced ? canaryNamespace : undefined),
      ),
    ]),
    ...(custom ? [on('apiextensions.k8s.io', 'customresourcedefinitions', 'get')] : []),
    on('', 'namespaces', 'list'),
    ...[
      'validatingwebhookconfigurations',
      'mutatingwebhookconfigurations',
      'validatingadmissionpolicies',
      'validatingadmissionpolicybindings',
      'mutatingadmissionpolicies',
      'mutatingadmissionpolicybindings',
    ].map((plural) => on('admissionregistration.k8s.io', plural, 'list')),
    ...nativePermissions(engine),
    ...commonPermissions(),
  ];
}

/** What keyferry needs to move storage versions; deploy/rbac.yaml grants it. */
export function storageVersionPermissions(
  resources: readonly Resource[],
  engine: StorageVersionMigrationSpec['engine'] = 'APIServer',
): Permission[] {
  const custom = resources.some((resource) => resource.apiVersion.includes('/'));
  const definitions = (plural: string, verb: string): Permission => on('apiextensions.k8s.io', plural, verb);
  return [
    ...resources.flatMap((resource) =>
      ['get', 'patch'].map((verb) => on(groupOf(resource), resource.plural, verb)),
    ),
    ...(custom
      ? [
          definitions('customresourcedefinitions', 'get'),
          definitions('customresourcedefinitions/status', 'patch'),
        ]
      : []),
    ...nativePermissions(engine),
    ...commonPermissions(),
  ];
}

function nativePermissions(engine: MigrationSpec['engine']): Permission[] {
  if (engine !== 'StorageVersionMigration') return [];
  return ['create', 'get', 'list', 'delete'].map((verb) =>
    on('storagemigration.k8s.io', 'storageversionmigrations', verb),
  );
}

function commonPermissions(): Permission[] {
  return [
    on('', 'namespaces', 'get'),
    // Those of the API servers (and of kube-controller-manager), and keyferry's own.
    ...['list', 'create'].map((verb) => on('coordination.k8s.io', 'leases', verb, 'kube-system')),
    ...['get', 'delete'].map((verb) => on('coordination.k8s.io', 'leases', verb, 'kube-system', LEASE)),
    ...['/metrics', '/readyz', '/readyz/kms-providers', '/version'].map((path) => ({
      words: `get ${path}`,
      spec: { nonResourceAttributes: { path, verb: 'get' } },
    })),
  ];
}

/**
 * What of it the kubeconfig's user may not, in words; empty where it may do all.
 *
 * @throws KeyferryError `UnavailableAccessReview` when the API server doesn't answer the question
 */
export async function deniedPermissions(server: ApiServer, needs: readonly Permission[]): Promise<string[]> {
  const allowed = await Promise.all(needs.map((need) => isAllowed(server, need.spec)));
  return needs.filter((_, i) => allowed[i] !== true).map((need) => need.words);
}

function groupOf(resource: Resource): string {
  return resource.apiVersion.includes('/') ? (resource.apiVersion.split('/')[0] ?? '') : '';
}

/** @param resource - with its subresource, where it is about one: `widgets/status` */
function on(group: string, resource: string, verb: string, namespace?: string, name?: string): Permission {
  const [plural = resource, subresource] = resource.split('/');
  return {
    words: [
      verb,
      `${resource}${group === '' ? '' : `.${group}`}`,
      ...(name === undefined ? [] : [name]),
      ...(namespace === undefined ? [] : [`in ${namespace}`]),
    ].join(' '),
    spec: {
      resourceAttributes: {
        verb,
        group,
        resource: plural,
        ...(subresource === undefined ? {} : { subresource }),
        ...(namespace === undefined ? {} : { namespace }),
        ...(name === undefined ? {} : { name }),
      },
    },
  };
}

async function isAllowed(server: ApiServer, spec: object): Promise<boolean> {
  const response = await server.request({
    method: 'POST',
    path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    body: { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec },
  });
  if (response.status === 201) {
    return (response.body as { status?: { allowed?: boolean } }).status?.allowed === true;
  }
  throw new KeyferryError(
    'UnavailableAccessReview',
    `${server.name} answered ${response.status} to a SelfSubjectAccessReview`,
    { remedy: "check the kubeconfig's credentials", retryable: response.status >= 500 },
  );
}
