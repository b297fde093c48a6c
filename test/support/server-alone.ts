import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LabConfig } from '../../lab/config.ts';
import { type ServerName } from '../../lab/server-modules.ts';
import { findServer } from '../../lab/servers.ts';

/** The configuration of a lab in a temporary folder that has one server and nothing else; builds it if it isn't there yet. */
export async function labOf(server: ServerName, parts: Partial<LabConfig> = {}): Promise<LabConfig> {
  return {
    kind: 'keyferry-lab',
    dir: mkdtempSync(join(tmpdir(), `kf-${server}-`)),
    complete: true,
    createdAt: new Date().toISOString(),
    cluster: `${server}-alone`,
    binaries: { [server]: await findServer(server, (line) => process.stderr.write(`${line}\n`)) },
    etcd: { members: [], quotaBytes: 0, tls: false },
    apiServers: [],
    sourcePlugins: false,
    apiServerOptions: {
      reload: true,
      requestTimeoutSeconds: 60,
      etcdCompactionSeconds: 300,
      ownHostName: [],
    },
    ...parts,
  };
}
