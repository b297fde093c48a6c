import type { LoadedConfiguration } from '../cluster/convergence.ts';
import type { EtcdStatus } from '../cluster/etcd.ts';
import type { ServerVersion } from '../cluster/versions.ts';
import { judged, type Asked, type Check } from './preflight.ts';
import type { ClusterLook } from './watch.ts';

/** What one API server answered. */
export interface ServerFindings {
  name: string;
  node: string;
  version: Asked<ServerVersion>;
  loaded: Asked<LoadedConfiguration>;
  /** The hash of the file on its node; absent where the agent could not read it. */
  fileHash?: string;
  /** Where that file lies. */
  file: string;
}

/** The first minor version with the metric that tells the loaded file's hash. */
const OLDEST_MINOR = 34;
const OLDEST_ETCD = [3, 5];
/** Milliseconds from which a clock is told of: what depends on clocks (Leases, the age of a look) counts in seconds. */
const SKEW_MS = 5_000;

/** Judges what the API servers answered: pure. */
export function judgeServers(servers: readonly ServerFindings[], takeUp: 'Reload' | 'Restart'): Check[] {
  const taken = servers.flatMap((server) => configuration(server, takeUp));
  return [...judgeVersions(servers), ...taken.filter((check) => check !== undefined)];
}

/** Judges whether the API servers answer, and of which versions they are. */
export function judgeVersions(servers: readonly Pick<ServerFindings, 'name' | 'version'>[]): Check[] {
  return [
    ...servers.map(({ name, version }) =>
      judged(`API server ${name} reachable`, version, ({ gitVersion }) => ({
        outcome: 'pass',
        detail: gitVersion,
      })),
    ),
    versions(servers),
  ].filter((check) => check !== undefined);
}

/** Judges whether the API servers that live are those that are listed. */
export function judgeStrangers(look: Asked<ClusterLook>): Check {
  return judged('list of API servers complete', look, ({ servers, strangers }) => {
    if (strangers.length === 0) {
      return { outcome: 'pass', detail: `${servers.length} listed, and no Lease of another` };
    }
    return {
      outcome: 'fail',
      detail: `not on the list: ${strangers.join(', ')}`,
      // The Lease may be that of a listed one, which couldn't say so.
      ...(servers.some(({ silent }) => silent !== undefined) ? { passing: true } : {}),
      remedy:
        'list every API server under spec.cluster.apiServers, each by its own address; delete from kube-system the Lease of one that is gone for good (else it expires within an hour)',
    };
  });
}

/** Judges whether another migration is under way on the cluster. */
export function judgeHolder(holder: Asked<string | undefined>): Check {
  return judged('no other migration under way', holder, (other) =>
    other === undefined
      ? { outcome: 'pass', detail: 'no Lease keyferry in kube-system' }
      : {
          outcome: 'warn',
          detail: `the migration ${other} holds the Lease keyferry in kube-system`,
          remedy: 'let it end, or roll it back: until then, another one waits before its first change',
        },
  );
}

/** Judges whether the clocks of this worker, the API servers and etcd's members agree. */
export function judgeClocks(clocks: readonly { name: string; aheadMs: number }[]): Check {
  const worker = { name: 'this worker', aheadMs: 0 };
  const all = [worker, ...clocks].sort((a, b) => a.aheadMs - b.aheadMs);
  const [slowest, fastest] = [all[0] ?? worker, all.at(-1) ?? worker];
  const name = 'clocks agree';
  const skew = fastest.aheadMs - slowest.aheadMs;
  if (skew <= SKEW_MS) {
    return { name, outcome: 'pass', detail: `${all.length} clocks within ${SKEW_MS / 1000} s` };
  }
  return {
    name,
    outcome: 'warn',
    detail: `${fastest.name} is ${Math.round(skew / 1000)} s or more ahead of ${slowest.name}`,
    remedy:
      'synchronise them (chrony, ntpd): whether a Lease has expired and how old a look is are told by clocks',
  };
}

/** Judges whether etcd's members answer, and can be written. */
export function judgeEtcd({ alarms, members, version, dbSize }: EtcdStatus): Omit<Check, 'name'> {
  if (alarms.length > 0) {
    return {
      outcome: 'fail',
      detail: `alarms: ${alarms.join(', ')}`,
      remedy:
        'make room (compact, defragment, raise the quota) and disarm: a rewrite needs about the size of its objects again until compaction',
    };
  }
  const silent = members.flatMap((one) => ('silent' in one ? [`${one.endpoint}: ${one.silent}`] : []));
  if (silent.length > 0) {
    return {
      outcome: 'warn',
      detail: `${silent.length} of ${members.length} members did not answer: ${silent.join('; ')}`,
      remedy: 'bring every member back: the next one that is lost may take etcd with it',
    };
  }
  return { outcome: 'pass', detail: `etcd ${version}, database of ${Math.round(dbSize / 1e6)} MB` };
}

/** Judges the oldest version among etcd's members. */
export function judgeEtcdVersion({ version }: EtcdStatus): Omit<Check, 'name'> {
  if (!isOlder(version, OLDEST_ETCD)) return { outcome: 'pass', detail: version };
  return {
    outcome: 'warn',
    detail: `a member runs ${version}`,
    remedy: `upgrade to ${OLDEST_ETCD.join('.')} or newer, as Kubernetes 1.${OLDEST_MINOR} wants it`,
  };
}

function versions(servers: readonly Pick<ServerFindings, 'name' | 'version'>[]): Check | undefined {
  const known = servers.flatMap(({ name, version }) =>
    'answer' in version ? [{ name, text: version.answer.gitVersion }] : [],
  );
  if (known.length === 0) return undefined;
  const name = 'versions of the API servers';
  const said = known.map((one) => `${one.name} runs ${one.text}`).join(', ');
  const minors = known.map(({ text }) => Number(/^v?1\.(\d+)/.exec(text)?.[1] ?? Number.NaN));
  if (minors.some(Number.isNaN)) {
    return {
      name,
      outcome: 'warn',
      detail: `${said}: not all are versions of Kubernetes`,
      remedy: `see that each is 1.${OLDEST_MINOR} or newer`,
    };
  }
  const [oldest, newest] = [Math.min(...minors), Math.max(...minors)];
  if (oldest < OLDEST_MINOR) {
    return {
      name,
      outcome: 'fail',
      detail: said,
      remedy: `upgrade to 1.${OLDEST_MINOR} or newer: older ones don't tell the hash of the file that they have loaded`,
    };
  }
  if (newest - oldest > 1) {
    return {
      name,
      outcome: 'fail',
      detail: said,
      remedy:
        'finish the upgrade first: Kubernetes supports API servers side by side that are one minor version apart',
    };
  }
  return { name, outcome: 'pass', detail: [...new Set(known.map(({ text }) => text))].join(', ') };
}

function configuration(server: ServerFindings, takeUp: 'Reload' | 'Restart'): (Check | undefined)[] {
  const { name, loaded, fileHash } = server;
  const takenUp = `configuration taken up by ${name}`;
  if ('answer' in loaded && loaded.answer.hash === undefined) {
    return [{ name: takenUp, outcome: 'fail', ...withoutConfiguration(server, takeUp) }];
  }
  return [
    // Without the file's hash there is nothing to compare, and a check of the node has said why.
    fileHash === undefined
      ? undefined
      : judged(takenUp, loaded, ({ hash = '', kmsReady, kmsDetail }) => {
          if (hash !== fileHash) {
            return {
              outcome: 'fail',
              detail: `the file on its node is ${short(fileHash)}, and it runs ${short(hash)}`,
              remedy: `let ${name} reload (a minute at most) or restart it; where it never does, its manifest mounts the file instead of its directory, or another file`,
            };
          }
          if (!kmsReady) {
            return {
              outcome: 'fail',
              detail: `kms providers not ready: ${kmsDetail}`,
              passing: true,
              remedy:
                'mend the plugin first: no API server takes up a changed file while any kms entry is unhealthy',
            };
          }
          return { outcome: 'pass', detail: short(hash) };
        }),
    takeUp === 'Reload' && 'answer' in loaded ? reload(name, loaded.answer.reloadsItself) : undefined,
  ];
}

function reload(server: string, reloadsItself: boolean): Check {
  const name = `reload by ${server}`;
  if (reloadsItself) return { name, outcome: 'pass', detail: 'takes up a changed file by itself' };
  return {
    name,
    outcome: 'fail',
    detail: `${server} runs without --encryption-provider-config-automatic-reload=true: it never takes up a changed file`,
    remedy: `add that flag to ${server} and restart it, or set takeUp: Restart and give its agent a --restart-command`,
  };
}

function withoutConfiguration(
  { name, node, file, version }: ServerFindings,
  takeUp: 'Reload' | 'Restart',
): { detail: string; remedy: string } {
  const minor = 'answer' in version ? /^v?1\.(\d+)/.exec(version.answer.gitVersion)?.[1] : undefined;
  if (minor !== undefined && Number(minor) < OLDEST_MINOR) {
    return {
      detail: `${name} doesn't tell which encryption configuration it has loaded`,
      remedy: `upgrade it to Kubernetes 1.${OLDEST_MINOR} or newer`,
    };
  }
  const flags = [
    `--encryption-provider-config=${file}`,
    ...(takeUp === 'Reload' ? ['--encryption-provider-config-automatic-reload=true'] : []),
  ].join(' ');
  return {
    detail: `${name} runs without --encryption-provider-config: it stores everything unencrypted, and reads nothing that others encrypt`,
    remedy: `on ${node} put an EncryptionConfiguration into ${file} (what the other API servers have, or where none has any, the migrated resources with the one provider identity: {}), mount its folder into the API server's pod, add ${flags}, and restart it`,
  };
}

function isOlder(version: string, than: readonly number[]): boolean {
  const parts = version.split('.').map(Number);
  for (const [i, wanted] of than.entries()) {
    const part = parts[i] ?? 0;
    if (part !== wanted) return part < wanted;
  }
  return false;
}

function short(hash: string): string {
  return hash.slice(0, 'sha256:'.length + 12);
}
