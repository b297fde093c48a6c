import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { KeyferryError } from '../src/errors.ts';
import { type HttpClient } from './http.ts';
import { packageRoot } from './paths.ts';

interface RbacObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

const PLURALS: Readonly<Record<string, string>> = {
  ClusterRole: 'clusterroles',
  ClusterRoleBinding: 'clusterrolebindings',
  Role: 'roles',
  RoleBinding: 'rolebindings',
};

/** Gives the user keyferry what deploy/rbac.yaml gives it in a real cluster, and no more: so the lab proves the file. */
export async function applyRbac(api: HttpClient): Promise<void> {
  const file = join(packageRoot(), 'deploy/rbac.yaml');
  for (const document of parseAllDocuments(readFileSync(file, 'utf8'))) {
    const object = document.toJS() as RbacObject | null;
    if (object === null) continue;
    const plural = PLURALS[object.kind];
    if (plural === undefined) {
      throw new KeyferryError('FileInvalid', `${file} holds a ${object.kind}, which the lab can't apply.`, {
        remedy: `Keep to ${Object.keys(PLURALS).join(', ')} in that file.`,
      });
    }
    const { namespace } = object.metadata;
    const scope = namespace === undefined ? '' : `namespaces/${namespace}/`;
    // Namespaces such as kube-system are made by the API server itself shortly after it got ready.
    await api.expect('POST', `/apis/rbac.authorization.k8s.io/v1/${scope}${plural}`, object, [409]);
  }
}
