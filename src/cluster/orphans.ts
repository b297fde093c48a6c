import { KeyferryError } from '../errors.ts';
import type { ApiServer } from './api-server.ts';
import { endOfPrefix, type EtcdClient } from './etcd.ts';
import { findResource, type Resource } from './resources.ts';

/**
 * Looks a resource up that may be served no longer, as when its CustomResourceDefinition was deleted.
 *
 * @returns undefined where it isn't served, and no key of it lies in etcd: there is nothing to migrate
 * @throws KeyferryError `OrphanedResource` where keys of it are left, which no API server can rewrite or even read
 */
export async function findServed(
  server: ApiServer,
  etcd: EtcdClient,
  name: string,
  etcdRoot: string,
): Promise<Resource | undefined> {
  try {
    return await findResource(server, name, etcdRoot);
  } catch (error) {
    if (!(error instanceof KeyferryError) || error.code !== 'NotFoundResource') throw error;
  }
  const [plural, ...group] = name.split('.');
  const prefix = `${[etcdRoot, group.join('.'), plural].filter((part) => part !== '').join('/')}/`;
  const { count } = await etcd.count(prefix, endOfPrefix(prefix));
  if (count === 0) return undefined;
  throw new KeyferryError(
    'OrphanedResource',
    `"${name}" isn't served, and ${count} ${count === 1 ? 'key of it lies' : 'keys of it lie'} in etcd under ${prefix}: an API server can't rewrite what it doesn't serve`,
    {
      remedy: `serve it again (put its CustomResourceDefinition back), or delete the keys (etcdctl del --prefix ${prefix})`,
    },
  );
}
