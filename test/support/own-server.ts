import { writeConfig, type ApiServerConfig } from '../../lab/config.ts';
import { Lab } from '../../lab/lab.ts';

/** Restarts an API server of a lab with something of its own; as the others are where none are given. */
export async function restartAs(
  dir: string,
  node: string,
  own: Omit<ApiServerConfig, 'node' | 'port'> = {},
): Promise<void> {
  const { config } = Lab.open(dir);
  const apiServers = config.apiServers.map((server) =>
    server.node === node ? { node, port: server.port, ...own } : server,
  );
  writeConfig({ ...config, apiServers });
  await Lab.open(dir).restartApiServer(node);
}
