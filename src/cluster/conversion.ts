import { KeyferryError } from '../errors.ts';
import type { ApiServer } from './api-server.ts';
import { endOfPrefix, type EtcdClient } from './etcd.ts';
import { objectOf, objectPath, type Resource } from './resources.ts';

/** How a custom resource is converted between its versions by a webhook, and whether that works. */
export interface Conversion {
  resource: string;
  /** Whether a rewrite can't do without it: objects may lie in etcd in another version than that which is asked for. */
  needed: boolean;
  /** The object that was asked for, by each served version; undefined where there is none. */
  tried?: { namespace?: string; name: string };
  /** Versions by which that object can't be read. */
  failures: { version: string; status: number }[];
}

interface Definition {
  spec: {
    conversion?: { strategy?: string };
    versions: { name: string; served: boolean; storage: boolean }[];
  };
  status?: { storedVersions?: string[] };
}

/**
 * Reads an object of a custom resource by each version that is served: what isn't stored so goes through its webhook.
 *
 * @returns undefined for a resource that no webhook converts
 */
export async function conversionOf(
  server: ApiServer,
  etcd: EtcdClient,
  resource: Resource,
): Promise<Conversion | undefined> {
  const [group = ''] = resource.apiVersion.split('/');
  if (!resource.apiVersion.includes('/')) return undefined;
  const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${resource.plural}.${group}`;
  const response = await server.request({ method: 'GET', path });
  if (response.status === 404) return undefined;
  if (response.status !== 200) {
    throw new KeyferryError('UnavailableCrd', `${server.name} answered ${response.status} to ${path}`, {
      remedy: "let the kubeconfig's user get customresourcedefinitions (deploy/rbac.yaml)",
      retryable: response.status >= 500,
    });
  }
  const { spec, status } = response.body as Definition;
  if (spec.conversion?.strategy !== 'Webhook') return undefined;

  const asked = resource.apiVersion.slice(group.length + 1);
  const storage = spec.versions.filter((one) => one.storage).map((one) => one.name);
  const needed = new Set([asked, ...storage, ...(status?.storedVersions ?? [])]).size > 1;
  const tried = await anyObject(etcd, resource);
  if (tried === undefined) return { resource: resource.name, needed, failures: [] };
  const failures: Conversion['failures'] = [];
  for (const { name: version } of spec.versions.filter((one) => one.served)) {
    const as = { ...resource, apiPath: `/apis/${group}/${version}` };
    const { status: answered } = await server.request({
      method: 'GET',
      path: `${objectPath(as, tried)}?includeObject=None`,
      headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
    });
    if (answered !== 200 && answered !== 404) failures.push({ version, status: answered });
  }
  return { resource: resource.name, needed, tried, failures };
}

/** The first object of a resource, or of one of its namespaces, by its key in etcd: a LIST would need a permission more. */
export async function anyObject(
  etcd: EtcdClient,
  resource: Resource,
  namespace?: string,
): Promise<{ namespace?: string; name: string } | undefined> {
  const start = namespace === undefined ? resource.etcdPrefix : `${resource.etcdPrefix}${namespace}/`;
  const page = await etcd.range({ start, end: endOfPrefix(start), limit: 1, keysOnly: true });
  const [first] = page.entries;
  return first === undefined ? undefined : objectOf(resource, first.key);
}
