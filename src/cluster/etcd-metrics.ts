import { readFileSync } from 'node:fs';
import { Agent } from 'undici';
import type { MemberLoad } from '../plan/gauges.ts';
import type { EtcdSpec } from '../spec/migration.ts';
import { provenSkew } from './clock.ts';
import { histogramOf, sumOf } from './prometheus.ts';

const TIMEOUT_MS = 5_000;

/** What an etcd member tells by its metrics alone. */
export interface EtcdMetrics extends Pick<MemberLoad, 'endpoint' | 'leaderChanges' | 'fsync' | 'commit'> {
  /** Bytes that its database may have. */
  quotaBytes?: number;
  /** Milliseconds that its clock is ahead of this machine's; below zero where it is behind. */
  aheadMs?: number;
}

/**
 * Asks each endpoint of etcd for its metrics, which every member serves beside its gRPC: its status over gRPC has no quota
 * before 3.6.
 */
export async function etcdMetrics(spec: EtcdSpec): Promise<EtcdMetrics[]> {
  const dispatcher = new Agent({
    connect:
      spec.tls === undefined
        ? {}
        : {
            ca: readFileSync(spec.tls.caFile),
            cert: readFileSync(spec.tls.certFile),
            key: readFileSync(spec.tls.keyFile),
          },
  });
  try {
    return await Promise.all(spec.endpoints.map((endpoint) => metricsOf(endpoint, dispatcher)));
  } finally {
    await dispatcher.destroy();
  }
}

async function metricsOf(endpoint: string, dispatcher: Agent): Promise<EtcdMetrics> {
  const sentAt = Date.now();
  try {
    const response = await dispatcher.request({
      origin: endpoint,
      path: '/metrics',
      method: 'GET',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const aheadMs = provenSkew(response.headers['date'], sentAt, Date.now());
    const text = await response.body.text();
    const quotaBytes = sumOf(text, 'etcd_server_quota_backend_bytes');
    return {
      endpoint,
      ...(quotaBytes === undefined ? {} : { quotaBytes }),
      ...(aheadMs === undefined ? {} : { aheadMs }),
      leaderChanges: sumOf(text, 'etcd_server_leader_changes_seen_total'),
      fsync: histogramOf(text, 'etcd_disk_wal_fsync_duration_seconds'),
      commit: histogramOf(text, 'etcd_disk_backend_commit_duration_seconds'),
    };
  } catch {
    // Whether it answers at all is another check's question.
    return { endpoint };
  }
}
