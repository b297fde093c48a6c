import { KeyferryError } from '../errors.ts';
import type { ApiServer } from './api-server.ts';
import type { Resource } from './resources.ts';

/**
 * What keyferry needs and the kubeconfig's user may not, in words; empty where it may do all.
 *
 * @throws KeyferryError `UnavailableAccessReview` when the API server doesn't answer the question
 */
export async function deniedPermissions(
  server: ApiServer,
  resources: readonly Resource[],
  canaryNamespace: string,
): Promise<string[]> {
  const needs = [
    ...resources.flatMap((resource) => [
      ...['get', 'patch'].map((verb) => onResource(resource, verb, undefined)),
      ...['create', 'delete'].map((verb) =>
        onResource(resource, verb, resource.namespaced ? canaryNamespace : undefined),
      ),
    ]),
    ...['/metrics', '/readyz/kms-providers'].map((path) => ({
      words: `get ${path}`,
      spec: { nonResourceAttributes: { path, verb: 'get' } },
    })),
  ];
  const allowed = await Promise.all(needs.map((need) => isAllowed(server, need.spec)));
  return needs.filter((_, i) => allowed[i] !== true).map((need) => need.words);
}

function onResource(resource: Resource, verb: string, namespace: string | undefined) {
  const group = resource.apiVersion.includes('/') ? (resource.apiVersion.split('/')[0] ?? '') : '';
  return {
    words: `${verb} ${resource.name}${namespace === undefined ? '' : ` in ${namespace}`}`,
    spec: {
      resourceAttributes: {
        verb,
        group,
        resource: resource.plural,
        ...(namespace === undefined ? {} : { namespace }),
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
