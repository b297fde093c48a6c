import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { initialEncryptionConfiguration } from '../lab/encryption-configuration.ts';
import type { Clusters } from '../src/cluster/cluster.ts';
import { hashOf } from '../src/encryption-config/index.ts';
import { PluginConnections } from '../src/kms-plugin/connections.ts';
import type { EtcdChunkInput } from '../workflows/types.ts';
import { etcdEngineActivities } from './etcd-engine.ts';

const TEXT = initialEncryptionConfiguration({
  node: 'cp-1',
  aescbcKey: Buffer.alloc(32).toString('base64'),
  endpoint: 'unix:///unused.sock',
  sourceEndpoint: 'unix:///unused.sock',
});
/** None may be asked for: nothing is to be read or written. */
const noClusters = {
  get: () => {
    throw new Error('etcd was asked');
  },
} as unknown as Clusters;

describe('an agent that is to rewrite in etcd', () => {
  let folder: string;
  let file: string;
  const { rewriteChunk } = etcdEngineActivities({
    node: 'cp-1',
    restartCommand: undefined,
    clusters: noClusters,
    plugins: new PluginConnections(),
  });
  const chunk = (configuration: EtcdChunkInput['configuration']): Promise<unknown> =>
    rewriteChunk({ resource: { name: 'secrets' }, configuration } as EtcdChunkInput);

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kf-engine-'));
    file = join(folder, 'config.yaml');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('does nothing by another file than its API server was proven to run, and may be asked again', async () => {
    writeFileSync(file, `${TEXT}# a change\n`);
    await expect(chunk({ file, hash: hashOf(TEXT) })).rejects.toMatchObject({
      code: 'EncryptionConfigurationChanged',
      retryable: true,
    });
  });

  it('does nothing where kms v1 would write', async () => {
    const text = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
      - kms: { apiVersion: v1, name: old, endpoint: unix:///old.sock, cachesize: 10 }
      - identity: {}
`;
    writeFileSync(file, text);
    await expect(chunk({ file, hash: hashOf(text) })).rejects.toMatchObject({
      code: 'RefusedKmsV1Writer',
      retryable: false,
    });
  });
});
