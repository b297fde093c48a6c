import { type MigrationDocument } from '../../lab/migration-spec.ts';
import { type ControlPlane } from './control-plane.ts';

const RBAC = '/apis/rbac.authorization.k8s.io/v1';

/** CustomResourceDefinitions of namespaced resources. */
export const customResource = {
  path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',

  /**
   * @param versions - the fields of each version, all of them served
   * @param conversion - by default none
   */
  definition(
    plural: string,
    kind: string,
    versions: Readonly<Record<string, object>>,
    storage: string,
    {
      group = 'example.com',
      conversion = { strategy: 'None' },
    }: { group?: string; conversion?: object } = {},
  ) {
    return {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `${plural}.${group}` },
      spec: {
        group,
        scope: 'Namespaced',
        names: { plural, singular: kind.toLowerCase(), kind, listKind: `${kind}List` },
        versions: Object.entries(versions).map(([name, properties]) => ({
          name,
          served: true,
          storage: name === storage,
          schema: { openAPIV3Schema: { type: 'object', properties } },
        })),
        conversion,
      },
    };
  },
};

/** Lets keyferry's user read and rewrite a resource, as whoever moves it would. */
export async function letKeyferryMove(plane: ControlPlane, group: string, plural: string): Promise<void> {
  const metadata = { name: plural };
  const bodies = {
    clusterroles: {
      kind: 'ClusterRole',
      rules: [{ apiGroups: [group], resources: [plural], verbs: ['get', 'patch'] }],
    },
    clusterrolebindings: {
      kind: 'ClusterRoleBinding',
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: plural },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'keyferry' }],
    },
  };
  for (const [path, body] of Object.entries(bodies)) {
    const object = { apiVersion: 'rbac.authorization.k8s.io/v1', metadata, ...body };
    const { status, text } = await plane.ask('cp-1', 'POST', `${RBAC}/${path}`, object);
    if (status !== 201) throw new Error(`POST ${path} answered ${status}: ${text}`);
  }
}

/** A StorageVersionMigration of a lab, made of its Migration. */
export function movingTo(
  resources: string | readonly string[],
  { encrypted, ...spec }: { encrypted: boolean } & Record<string, unknown>,
) {
  return ({ apiVersion, spec: { cluster } }: MigrationDocument) => {
    const { encryptionConfiguration, ...bare } = cluster as Record<string, unknown>;
    return {
      apiVersion,
      kind: 'StorageVersionMigration',
      metadata: { name: 'lab-storage-versions' },
      spec: {
        cluster: encrypted ? { ...bare, encryptionConfiguration } : bare,
        resources: [resources].flat(),
        ...spec,
      },
    };
  };
}
