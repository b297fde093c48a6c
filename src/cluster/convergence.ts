import { KeyferryError } from '../errors.ts';
import type { ServerLoad } from '../plan/gauges.ts';
import type { Loaded } from '../plan/watch.ts';
import type { ApiServer } from './api-server.ts';
import { histogramOf, samplesOf, sumOf } from './prometheus.ts';

/** What an API server says of the EncryptionConfiguration it runs. */
export interface LoadedConfiguration {
  /** `sha256:…` of the file it has loaded, from its metrics; absent where it has no such metric. */
  hash?: string;
  /** Whether /readyz/kms-providers is ok, and what it says where it isn't. */
  kmsReady: boolean;
  kmsDetail: string;
  /** Whether it takes up a changed file by itself. */
  reloadsItself: boolean;
  /** Files that it found changed and refused since it started. */
  failedReloads: number;
  loaded: Loaded;
  /** The key id that each kms provider's plugin last told it, `sha256:…` of it, by the provider's name. */
  keyIdHashes: Record<string, string>;
  load: ServerLoad;
}

export type Convergence =
  | { converged: true; loaded: Loaded }
  | {
      converged: false;
      why: string;
      /** Files that it found changed and refused since it started, as it does while any kms entry is unhealthy. */
      failedReloads?: number;
    };

const KEY_ID_TOLD = 'apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds';
const KEY_ID_HASH = /(?:^|,)key_id_hash="(sha256:[0-9a-f]+)"/;
const PROVIDER_NAME = /(?:^|,)provider_name="((?:[^"\\]|\\.)*)"/;
const INFO = /^apiserver_encryption_config_controller_last_config_info\{([^}]*)\} 1\b/m;
const HASH = /(?:^|,)hash="(sha256:[0-9a-f]+)"/;
const IDENTITY = /(?:^|,)apiserver_id_hash="(sha256:[0-9a-f]+)"/;
const ONE_OBJECT = [
  /(?:^|,)scope="resource"/,
  /(?:^|,)subresource=""/,
  /(?:^|,)verb="(?:GET|POST|PUT|PATCH|DELETE)"/,
];
const GROUP = /(?:^|,)group="([^"]*)"/;
const RESOURCE = /(?:^|,)resource="([^"]*)"/;
const STARTED = /^process_start_time_seconds ([0-9.e+]+)/m;
const RELOADS =
  /^apiserver_encryption_config_controller_automatic_reloads_total\{[^}]*status="success"[^}]*\} ([0-9.e+]+)/m;
const FAILED_RELOADS =
  /^apiserver_encryption_config_controller_automatic_reloads_total\{[^}]*status="failure"[^}]*\} ([0-9.e+]+)/m;

/**
 * Asks one API server what it has loaded.
 *
 * @throws KeyferryError `UnreachableApiServer`, retryable; `RefusedMetrics` when its metrics may not be read
 */
export async function loadedConfiguration(server: ApiServer): Promise<LoadedConfiguration> {
  const metrics = await server.request({ method: 'GET', path: '/metrics', timeoutMs: 10_000 });
  if (metrics.status !== 200) {
    throw new KeyferryError('RefusedMetrics', `${server.name} answered ${metrics.status} to /metrics`, {
      remedy: "let the kubeconfig's user get the non-resource URLs /metrics and /readyz/* (deploy/rbac.yaml)",
      // 429: it has too much to do, for the moment.
      retryable: metrics.status === 429 || metrics.status >= 500,
    });
  }
  const { reloadsItself, trouble } = await kmsHealth(server);
  const labels = INFO.exec(metrics.text)?.[1] ?? '';
  const hash = HASH.exec(labels)?.[1];
  const identity = IDENTITY.exec(labels)?.[1];
  return {
    ...(hash === undefined ? {} : { hash }),
    loaded: {
      startedAt: Number(STARTED.exec(metrics.text)?.[1] ?? 0),
      reloads: Number(RELOADS.exec(metrics.text)?.[1] ?? 0),
      // The name of its Lease, hashed.
      ...(identity === undefined ? {} : { identity }),
    },
    kmsReady: trouble === undefined,
    kmsDetail: trouble ?? 'ok',
    reloadsItself,
    failedReloads: Number(FAILED_RELOADS.exec(metrics.text)?.[1] ?? 0),
    keyIdHashes: keyIdHashesIn(metrics.text),
    load: loadIn(server.name, metrics.text),
  };
}

/** Metrics that a server doesn't have count as 0: most come with the first time that there is something to tell. */
function loadIn(name: string, metrics: string): ServerLoad {
  const total = (metric: string): number => sumOf(metrics, metric) ?? 0;
  return {
    name,
    startedAt: total('process_start_time_seconds'),
    // What a process once had it doesn't give back soon: its resident memory tells of its past.
    memoryBytes: sumOf(metrics, 'go_gc_heap_live_bytes') ?? total('process_resident_memory_bytes'),
    queued: total('apiserver_flowcontrol_current_inqueue_requests'),
    rejected: total('apiserver_flowcontrol_rejected_requests_total'),
    terminatedWatchers: byResource(metrics, 'apiserver_terminated_watchers_total'),
    watchCaches: byResource(metrics, 'apiserver_watch_cache_resource_version'),
    sentToWatchers: byResource(metrics, 'apiserver_watch_events_total'),
    objects: {
      ...byResource(metrics, 'apiserver_storage_objects'),
      // Since 1.34, and one day instead of the other.
      ...byResource(metrics, 'apiserver_resource_objects'),
    },
    requests: histogramOf(metrics, 'apiserver_request_duration_seconds', isForOneObject),
    keyCalls: histogramOf(metrics, 'apiserver_envelope_encryption_kms_operations_latency_seconds', (labels) =>
      labels.includes('grpc_status_code="OK"'),
    ),
  };
}

/** How long others take is as much a matter of their size, or of what they wait for. */
function isForOneObject(labels: string): boolean {
  return ONE_OBJECT.every((label) => label.test(labels));
}

/** A metric by the resource's name, its versions added up; before 1.34 the group is a part of the name, since then it stands beside it. */
function byResource(metrics: string, name: string): Record<string, number> {
  const sums = new Map<string, number>();
  for (const { labels, value } of samplesOf(metrics, name)) {
    const group = GROUP.exec(labels)?.[1] ?? '';
    const resource = RESOURCE.exec(labels)?.[1] ?? '';
    const full = group === '' ? resource : `${resource}.${group}`;
    sums.set(full, (sums.get(full) ?? 0) + value);
  }
  return Object.fromEntries(sums);
}

/** Of each provider the key id that was told last: the metric keeps those that were told before. */
function keyIdHashesIn(metrics: string): Record<string, string> {
  const last = new Map<string, { hash: string; at: number }>();
  for (const { labels, value: at } of samplesOf(metrics, KEY_ID_TOLD)) {
    const hash = KEY_ID_HASH.exec(labels)?.[1];
    const provider = PROVIDER_NAME.exec(labels)?.[1];
    if (hash === undefined || provider === undefined) continue;
    if (at > (last.get(provider)?.at ?? 0)) last.set(provider, { hash, at });
  }
  return Object.fromEntries([...last].map(([provider, { hash }]) => [provider, hash]));
}

/**
 * What is wrong with a server's kms providers. One that reloads by itself answers for all of them at one address; one
 * that doesn't has a check for each kms entry (`kms-provider-0` …), and none where there is no such entry.
 */
async function kmsHealth(server: ApiServer): Promise<{ reloadsItself: boolean; trouble?: string }> {
  const all = await server.request({ method: 'GET', path: '/readyz/kms-providers', timeoutMs: 10_000 });
  if (all.status === 200) return { reloadsItself: true };
  if (all.status !== 404) return { reloadsItself: true, trouble: `${all.status} ${all.text.slice(0, 200)}` };
  const each = await server.request({ method: 'GET', path: '/readyz?verbose', timeoutMs: 10_000 });
  const checks = each.text.split('\n').filter((line) => /^\[[+-]\]/.test(line));
  if (checks.length === 0) return { reloadsItself: false, trouble: `${each.status} to /readyz?verbose` };
  const failed = checks.filter((line) => line.startsWith('[-]kms-provider'));
  return {
    reloadsItself: false,
    ...(failed.length === 0 ? {} : { trouble: failed.join('; ').slice(0, 200) }),
  };
}

/**
 * Whether an API server runs the file it should, or what it waits for.
 *
 * @param leaving - whether a provider is on its way out that may be dead: then nobody waits for its health
 */
export async function checkConvergence(
  server: ApiServer,
  expectedHash: string,
  leaving = false,
): Promise<Convergence> {
  let loaded: LoadedConfiguration;
  try {
    loaded = await loadedConfiguration(server);
  } catch (error) {
    if (error instanceof KeyferryError && error.retryable) return { converged: false, why: error.message };
    throw error;
  }
  if (loaded.hash === undefined) {
    return {
      converged: false,
      why: `${server.name} doesn't tell which encryption configuration it has loaded (it needs --encryption-provider-config, and Kubernetes 1.34 or newer)`,
    };
  }
  if (loaded.hash !== expectedHash) {
    const failed =
      loaded.failedReloads > 0
        ? `; ${loaded.failedReloads} reloads failed since it started: see its log`
        : '';
    return {
      converged: false,
      why: `${server.name} still runs ${short(loaded.hash)}, not yet its file (${short(expectedHash)})${failed}`,
      failedReloads: loaded.failedReloads,
    };
  }
  if (!loaded.kmsReady && !leaving) {
    return {
      converged: false,
      why: `${server.name} has loaded the file, but its kms providers aren't ready: ${loaded.kmsDetail}`,
    };
  }
  return { converged: true, loaded: loaded.loaded };
}

function short(hash: string): string {
  return hash.slice(0, 'sha256:'.length + 12);
}
