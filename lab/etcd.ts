import { join } from 'node:path';
import { type EtcdMemberConfig, type LabConfig } from './config.ts';
import { etcdTls } from './etcd-tls.ts';
import { HttpClient } from './http.ts';
import { binaryOf, notPartOfThisLab } from './launch.ts';
import { labPaths } from './paths.ts';
import { type Launch } from './process.ts';

export function etcdUrls(config: LabConfig): string[] {
  return config.etcd.members.map((member) => clientUrl(config, member));
}

/** The processes of etcd's members: `etcd`, or `etcd-1` … where there are several. */
export function etcdNames(members: number): string[] {
  return members === 1 ? ['etcd'] : Array.from({ length: members }, (_, i) => `etcd-${i + 1}`);
}

export function isEtcd(process: string): boolean {
  return /^etcd(-\d+)?$/.test(process);
}

export function etcdMemberOf(config: LabConfig, name: string): EtcdMemberConfig {
  const member = config.etcd.members.find((candidate) => candidate.name === name);
  if (member === undefined) throw notPartOfThisLab(name);
  return member;
}

export function clientUrl({ etcd }: LabConfig, member: EtcdMemberConfig): string {
  return `${etcd.tls ? 'https' : 'http'}://127.0.0.1:${member.port}`;
}

/** A client of a member's JSON gateway. Close it after use. */
export function etcdHttp(config: LabConfig, url: string, timeoutMs: number): HttpClient {
  return new HttpClient(url, { timeoutMs, ...etcdTls(config) });
}

/** Where a member keeps its data. */
export function etcdFolder(config: LabConfig, name: string): string {
  return join(config.dir, name);
}

/**
 * A member on loopback. It does not wait for the disk (`--unsafe-no-fsync`): what it acknowledged survives its own
 * death, SIGKILL included, but not the machine's. That is fine for a lab, and for nothing else.
 */
export function etcdLaunch(config: LabConfig, name: string): Launch {
  const member = etcdMemberOf(config, name);
  const url = clientUrl(config, member);
  const peer = peerUrl(member);
  const paths = labPaths(config.dir);
  const { caFile, certFile, keyFile } = paths.etcd;
  const log = paths.log(name);
  return {
    name,
    command: binaryOf(config, 'etcd'),
    args: [
      `--name=${name}`,
      `--data-dir=${etcdFolder(config, name)}`,
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=${config.etcd.members.map((one) => `${one.name}=${peerUrl(one)}`).join(',')}`,
      `--quota-backend-bytes=${config.etcd.quotaBytes}`,
      ...(config.etcd.tls
        ? [
            `--cert-file=${certFile}`,
            `--key-file=${keyFile}`,
            `--trusted-ca-file=${caFile}`,
            '--client-cert-auth=true',
          ]
        : []),
      '--unsafe-no-fsync=true',
      '--log-level=warn',
    ],
    log,
    readyWithinMs: 60_000,
    ready: async () => {
      const client = etcdHttp(config, url, 5_000);
      try {
        return (await client.request('GET', '/readyz')).status === 200;
      } finally {
        client.close();
      }
    },
  };
}

function peerUrl(member: EtcdMemberConfig): string {
  return `http://127.0.0.1:${member.peerPort}`;
}
