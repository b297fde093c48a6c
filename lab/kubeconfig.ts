import { readFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { apiServerUrl, readToken, type LabUser } from './api-server.ts';
import { type LabConfig } from './config.ts';
import { labPaths } from './paths.ts';

const USERS: readonly LabUser[] = ['admin', 'keyferry'];

/** One cluster per API server, because keyferry asks each directly, and a context for each user on each. */
export function kubeconfig(config: LabConfig): string {
  const paths = labPaths(config.dir);
  const nodes = config.apiServers.map(({ node }) => node);
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': `admin@${nodes[0] ?? ''}`,
    clusters: config.apiServers.map((server) => ({
      name: server.node,
      cluster: {
        server: apiServerUrl(server),
        'certificate-authority-data': readFileSync(paths.node(server.node).certificate).toString('base64'),
      },
    })),
    users: USERS.map((name) => ({ name, user: { token: readToken(paths, name) } })),
    contexts: nodes.flatMap((cluster) =>
      USERS.map((user) => ({ name: `${user}@${cluster}`, context: { cluster, user } })),
    ),
  });
}
