import { cancellationSignal } from '@temporalio/activity';
import { apiVersionAtRest } from '../src/census/at-rest.ts';
import { readOne } from '../src/census/reads.ts';
import { countVersions } from '../src/census/versions.ts';
import type { ApiServer } from '../src/cluster/api-server.ts';
import type { Cluster } from '../src/cluster/cluster.ts';
import { endOfPrefix } from '../src/cluster/etcd.ts';
import { checkFence, holderOf } from '../src/cluster/fence.ts';
import { lookAtServers } from '../src/cluster/identity.ts';
import { storageVersionPermissions } from '../src/cluster/permissions.ts';
import { explain } from '../src/cluster/refusal.ts';
import { objectOf } from '../src/cluster/resources.ts';
import {
  definitionOf,
  setStoredVersions,
  storageVersionOf,
  type StorageVersion,
} from '../src/cluster/storage-version.ts';
import { versionOf } from '../src/cluster/versions.ts';
import { KeyferryError } from '../src/errors.ts';
import { UNTOLD } from '../src/plan/version-tally.ts';
import type { Check } from '../src/plan/preflight.ts';
import type { ClusterLook } from '../src/plan/watch.ts';
import {
  judgeAtRest,
  judgeConversions,
  judgeStorageVersion,
  type ConversionFindings,
} from '../src/plan/preflight-storage.ts';
import { EARLY_TRIM_CHECK } from '../src/plan/preflight-native.ts';
import { judgeHolder, judgeStrangers, judgeVersions } from '../src/plan/preflight-servers.ts';
import {
  comparable,
  dissenters,
  inEachVersion,
  missingVersions,
  redefinition,
  storedResource,
  versionIn,
  type StoredResource,
} from '../src/plan/stored-resource.ts';
import { roundTrip } from '../src/rewrite/round-trip.ts';
import type {
  KeepStoredInput,
  KeepStoredResult,
  StorageLook,
  StorageLookInput,
  StoragePreflightInput,
  StoragePreflightResult,
  TrimInput,
  VersionsChunkInput,
  VersionsChunkResult,
} from '../workflows/storage-version-types.ts';
import { asked } from './asked.ts';
import { beating } from './beating.ts';
import type { ClusterDependencies } from './dependencies.ts';
import { nativeChecks } from './native-checks.ts';
import { etcdChecks, permissions } from './preflight.ts';

/** Milliseconds of one chunk of a census. */
const CHUNK_MS = 10_000;
/** Objects of each resource that preflight tries, of so many keys at the beginning; the rewriting tries its own. */
const SAMPLE = 20;
const SAMPLED_KEYS = 2_000;

type Servers = readonly [ApiServer, ...ApiServer[]];

export function storageVersionActivities({ clusters }: ClusterDependencies) {
  return {
    /** Looks at the resources whose storage version shall be moved to. Changes nothing. */
    async storagePreflight({
      cluster: spec,
      resources,
      opened,
      engine = 'APIServer',
    }: StoragePreflightInput): Promise<StoragePreflightResult> {
      const cluster = clusters.get(spec);
      return await beating(async () => {
        const versions = await Promise.all(
          cluster.apiServers.map(async (server) => ({
            name: server.name,
            version: await asked(() => versionOf(server)),
          })),
        );
        const status = await asked(() => cluster.etcd.status());
        const etcd = await etcdChecks(cluster, status);
        const checks = [...judgeVersions(versions), ...etcd];
        const stored: StoredResource[] = [];
        if (versions.some(({ version }) => 'trouble' in version)) return { checks, stored, known: [] };
        const look = await asked(() => lookAtServers(cluster));
        checks.push(judgeStrangers(look), judgeHolder(await asked(() => holderOf(cluster))));
        const servers = serversOf(cluster);
        for (const name of resources) {
          const found = await asked(() => storageVersionOf(servers, name, spec.etcd.prefix));
          const check = judgeStorageVersion(name, found);
          checks.push(check);
          if (!('answer' in found) || check.outcome === 'fail') continue;
          stored.push(storedResource(found.answer));
          checks.push(...(await objectChecks(cluster, found.answer, opened)));
        }
        const moved = stored.map(({ resource }) => resource);
        checks.push(
          await permissions(servers[0], storageVersionPermissions(moved, engine)),
          ...(engine === 'StorageVersionMigration' ? await nativeChecks(cluster) : []),
          ...(engine === 'StorageVersionMigration' &&
          stored.some(({ definition }) => definition !== undefined)
            ? [EARLY_TRIM_CHECK]
            : []),
        );
        return { checks, stored, known: 'answer' in look ? identitiesIn(look.answer) : [] };
      });
    },

    /** Looks at definitions, and in which version each API server stores their objects. */
    async lookAtStorage({ cluster: spec, stored, known: before }: StorageLookInput): Promise<StorageLook> {
      const cluster = clusters.get(spec);
      return await beating(async () => {
        const look: StorageLook = { stored: [], changes: [], dissenters: [], known: [] };
        for (const known of stored) {
          const found = await storageVersionOf(serversOf(cluster), known.resource.name, spec.etcd.prefix);
          const now = storedResource(found);
          look.stored.push(now);
          look.changes.push(redefinition(known, now));
          look.dissenters.push(...dissenters(known, found.servers));
        }
        const seen = await lookAtServers(cluster, before);
        look.known = identitiesIn(seen);
        look.dissenters.push(
          ...seen.servers.flatMap(({ silent }) => (silent === undefined ? [] : [silent])),
          ...seen.strangers.map((stranger) => `${stranger} lives, and isn't listed`),
        );
        return look;
      });
    },

    /** Counts a stretch of a resource's objects by the version in which they lie in etcd. */
    async versionsChunk({
      cluster,
      resource,
      cursor,
      sinceRevision,
    }: VersionsChunkInput): Promise<VersionsChunkResult> {
      const { etcd } = clusters.get(cluster);
      const part = await beating((tell) =>
        countVersions(etcd, resource, cursor, {
          timeMs: CHUNK_MS,
          ...(sinceRevision === undefined ? {} : { sinceRevision }),
          open: (entry) => Promise.resolve(entry.value),
          signal: cancellationSignal(),
          onProgress: tell,
        }),
      );
      return { tally: part.tally, ...(part.cursor === undefined ? {} : { cursor: part.cursor }) };
    },

    /**
     * Puts versions back into a definition's status that it named before.
     *
     * @throws KeyferryError `ChangedDefinition`, retryable, where somebody changed it meanwhile
     */
    async keepStored({ cluster: spec, fence, stored, before }: KeepStoredInput): Promise<KeepStoredResult> {
      const cluster = clusters.get(spec);
      const [server] = serversOf(cluster);
      return await beating(async () => {
        const definition = await definitionOf(server, stored.resource);
        // Made anew, it never named them.
        if (definition === undefined || definition.uid !== stored.definition?.uid)
          return { back: [], gone: [] };
        const { known: back, unknown: gone } = missingVersions(before, definition);
        if (back.length === 0) return { back, gone };
        await checkFence(cluster, fence);
        const { name, storedVersions } = definition;
        const all = [...before.filter((version) => !gone.includes(version)), ...storedVersions];
        if (await setStoredVersions(server, definition, [...new Set(all)])) return { back, gone };
        throw new KeyferryError('ChangedDefinition', `the definition ${name} was changed meanwhile`, {
          remedy: 'keyferry looks at it again',
          retryable: true,
        });
      });
    },

    /**
     * Removes the old versions from a definition's status, if it is what it was when its objects were verified.
     *
     * @returns false where it isn't, or an API server stores another version
     */
    async trimStored({ cluster: spec, fence, stored }: TrimInput): Promise<boolean> {
      const cluster = clusters.get(spec);
      return await beating(async () => {
        const found = await storageVersionOf(serversOf(cluster), stored.resource.name, spec.etcd.prefix);
        const { definition } = found;
        if (redefinition(stored, storedResource(found)).kind !== 'same') return false;
        if (dissenters(stored, found.servers).length > 0) return false;
        if (definition === undefined) return true;
        const storage = versionIn(stored.resource.apiVersion);
        // Done by an attempt before this one.
        if (definition.storedVersions.join() === storage) return true;
        await checkFence(cluster, fence);
        return await setStoredVersions(serversOf(cluster)[0], definition, [storage]);
      });
    },
  };
}

function identitiesIn({ servers }: ClusterLook): string[] {
  return servers.flatMap(({ identity }) => (identity === undefined ? [] : [identity]));
}

function serversOf({ apiServers }: Cluster): Servers {
  const [first, ...others] = apiServers;
  if (first === undefined) throw new Error('the schema lets no cluster without API servers pass');
  return [first, ...others];
}

async function objectChecks(cluster: Cluster, found: StorageVersion, opened: boolean): Promise<Check[]> {
  const { resource } = found;
  const sample = await asked(() => sampleOf(cluster, found));
  const atRest =
    'trouble' in sample
      ? sample
      : await asked(async () => {
          const values = await Promise.all(sample.answer.map(({ key }) => cluster.etcd.get(key)));
          const versions = values.flatMap((entry) =>
            entry === undefined ? [] : apiVersionAtRest(entry.value),
          );
          return { values: versions.length, sealed: versions.filter((one) => one === UNTOLD.sealed).length };
        });
  const conversions = judgeConversions(
    found,
    'trouble' in sample
      ? sample
      : await asked(() => tryConversions(cluster, storedResource(found), sample.answer)),
  );
  return [
    ...(opened ? [] : [judgeAtRest(resource.name, atRest)]),
    ...(conversions === undefined ? [] : [conversions]),
  ];
}

interface Sampled {
  key: string;
  namespace?: string;
  name: string;
}

async function sampleOf({ etcd }: Cluster, { resource }: StorageVersion): Promise<Sampled[]> {
  const { etcdPrefix } = resource;
  const { entries } = await etcd.range({
    start: etcdPrefix,
    end: endOfPrefix(etcdPrefix),
    limit: SAMPLED_KEYS,
    keysOnly: true,
  });
  const every = Math.max(1, Math.ceil(entries.length / SAMPLE));
  return entries.filter((_, i) => i % every === 0).map(({ key }) => ({ key, ...objectOf(resource, key) }));
}

async function tryConversions(
  cluster: Cluster,
  stored: StoredResource,
  sample: readonly Sampled[],
): Promise<ConversionFindings> {
  const findings: ConversionFindings = { tried: sample.length, troubles: [] };
  const compared = comparable(stored);
  for (const { key: _, ...object } of sample) {
    const shown = [object.namespace, object.name].filter(Boolean).join('/');
    for (const server of cluster.apiServers) {
      for (const resource of inEachVersion(stored)) {
        const { apiVersion } = resource;
        const about = { object: shown, apiServer: server.name, apiVersion };
        if (compared.includes(apiVersion)) {
          const tried = await roundTrip(server, resource, object);
          if (tried.kind === 'refused') findings.troubles.push({ ...about, ...tried.why });
        } else {
          const response = await readOne(server, resource, object);
          if (response.status !== 200 && response.status !== 404)
            findings.troubles.push({ ...about, ...explain(response) });
        }
      }
    }
    if (findings.troubles.length > 0) break;
  }
  return findings;
}
