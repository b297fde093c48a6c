import { type LabConfig } from './config.ts';
import { HttpClient } from './http.ts';
import { labPaths } from './paths.ts';
import { type Launch } from './process.ts';
import { binaryOf } from './launch.ts';

export function etcdUrl(config: LabConfig): string {
  return `http://127.0.0.1:${config.etcd.port}`;
}

/**
 * One member on loopback. It does not wait for the disk (`--unsafe-no-fsync`): what it acknowledged survives its own
 * death, SIGKILL included, but not the machine's. That is fine for a lab, and for nothing else.
 */
export function etcdLaunch(config: LabConfig): Launch {
  const paths = labPaths(config.dir);
  const url = etcdUrl(config);
  const peer = `http://127.0.0.1:${config.etcd.peerPort}`;
  return {
    name: 'etcd',
    command: binaryOf(config, 'etcd'),
    args: [
      '--name=lab',
      `--data-dir=${paths.etcd}`,
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=lab=${peer}`,
      `--quota-backend-bytes=${config.etcd.quotaBytes}`,
      '--unsafe-no-fsync=true',
      '--log-level=warn',
    ],
    log: paths.log('etcd'),
    readyWithinMs: 60_000,
    ready: async () => {
      const client = new HttpClient(url, { timeoutMs: 5_000 });
      try {
        return (await client.request('GET', '/readyz')).status === 200;
      } finally {
        client.close();
      }
    },
  };
}
