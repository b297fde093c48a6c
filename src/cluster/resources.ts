import { KeyferryError } from '../errors.ts';
import type { ApiServer } from './api-server.ts';

/** A resource as the cluster serves it, and where its objects lie in etcd. */
export interface Resource {
  /** As in an EncryptionConfiguration: `secrets`, `widgets.example.com`. */
  name: string;
  /** `/api/v1` or `/apis/<group>/<version>`. */
  apiPath: string;
  apiVersion: string;
  kind: string;
  plural: string;
  namespaced: boolean;
  /** The etcd prefix of its objects, with a slash at its end: `/registry/secrets/`. */
  etcdPrefix: string;
}

interface ApiResourceList {
  resources?: { name: string; kind: string; namespaced: boolean; verbs: string[] }[];
}

interface ApiGroupList {
  groups?: { name: string; preferredVersion: { version: string } }[];
}

/** Built-in resources that kube-apiserver keeps elsewhere than under their own name. */
const MOVED: Readonly<Record<string, string>> = {
  replicationcontrollers: 'controllers',
  endpoints: 'services/endpoints',
  nodes: 'minions',
  services: 'services/specs',
  'ingresses.networking.k8s.io': 'ingress',
};

/** Groups that keep their objects under group/resource as custom resources do. */
const GROUP_IN_PATH = new Set(['apiextensions.k8s.io', 'apiregistration.k8s.io']);

/**
 * Looks a resource up in a cluster's discovery.
 *
 * @throws KeyferryError `NotFoundResource` when no version of it is served
 */
export async function findResource(server: ApiServer, name: string, etcdRoot: string): Promise<Resource> {
  const [plural = name, ...rest] = name.split('.');
  const group = rest.join('.');
  const apiPath = group === '' ? '/api/v1' : await preferredPath(server, group);
  const list = apiPath === undefined ? undefined : await discover<ApiResourceList>(server, apiPath);
  const found = list?.resources?.find((one) => one.name === plural);
  if (apiPath === undefined || found === undefined) {
    throw new KeyferryError('NotFoundResource', `resource "${name}" isn't served by ${server.name}`, {
      remedy:
        'write it as <plural> or <plural>.<group>, as "kubectl api-resources" shows it, or take it off the list',
    });
  }
  return {
    name,
    apiPath,
    apiVersion: apiPath.replace(/^\/apis?\//, ''),
    kind: found.kind,
    plural,
    namespaced: found.namespaced,
    etcdPrefix: `${etcdRoot}/${await etcdPathOf(server, plural, group)}/`,
  };
}

/** What a server that can't answer serves isn't known: only 404 says that it doesn't serve something. */
async function discover<T>(server: ApiServer, path: string): Promise<T | undefined> {
  const { status, body } = await server.request({ method: 'GET', path });
  if (status === 200) return body as T;
  if (status === 404) return undefined;
  throw new KeyferryError('UnavailableDiscovery', `${server.name} answered ${status} to ${path}`, {
    remedy: "see that the server is well, and that the kubeconfig's user may get its discovery",
    retryable: status >= 500 || status === 429,
  });
}

async function preferredPath(server: ApiServer, group: string): Promise<string | undefined> {
  const groups = await discover<ApiGroupList>(server, '/apis');
  const found = groups?.groups?.find((one) => one.name === group);
  return found === undefined ? undefined : `/apis/${group}/${found.preferredVersion.version}`;
}

async function etcdPathOf(server: ApiServer, plural: string, group: string): Promise<string> {
  if (group === '') return MOVED[plural] ?? plural;
  const moved = MOVED[`${plural}.${group}`];
  if (moved !== undefined) return moved;
  if (GROUP_IN_PATH.has(group)) return `${group}/${plural}`;
  const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${encodeURIComponent(`${plural}.${group}`)}`;
  const definition = await server.request({ method: 'GET', path });
  if (definition.status === 200) return `${group}/${plural}`;
  if (definition.status === 404) return plural;
  throw new KeyferryError(
    'UnavailableCrd',
    `whether ${plural}.${group} is a custom resource can't be told: ${server.name} answered ${definition.status}`,
    {
      remedy: "let the kubeconfig's user get customresourcedefinitions (deploy/rbac.yaml)",
      retryable: definition.status >= 500,
    },
  );
}

/** An object's name and namespace, from its key in etcd; an empty namespace where the key lacks the one it should have. */
export function objectOf(resource: Resource, key: string): { namespace?: string; name: string } {
  const rest = key.slice(resource.etcdPrefix.length);
  if (!resource.namespaced) return { name: rest };
  const slash = rest.indexOf('/');
  if (slash === -1) return { namespace: '', name: rest };
  return { namespace: rest.slice(0, slash), name: rest.slice(slash + 1) };
}

/** Where an object lies in etcd. */
export function objectKey(
  resource: Resource,
  { namespace, name }: { namespace?: string; name: string },
): string {
  // The namespace is empty where the key has none: see objectOf.
  return `${resource.etcdPrefix}${namespace === undefined || namespace === '' ? '' : `${namespace}/`}${name}`;
}

/** An object's path at an API server, every name percent-encoded. */
export function objectPath(resource: Resource, object: { namespace?: string; name?: string }): string {
  const namespace =
    object.namespace === undefined ? '' : `/namespaces/${encodeURIComponent(object.namespace)}`;
  const name = object.name === undefined ? '' : `/${encodeURIComponent(object.name)}`;
  return `${resource.apiPath}${namespace}/${resource.plural}${name}`;
}
