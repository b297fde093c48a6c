import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { initialEncryptionConfiguration } from '../lab/encryption-configuration.ts';
import { Clusters } from '../src/cluster/cluster.ts';
import { hashOf } from '../src/encryption-config/index.ts';
import { PluginConnections } from '../src/kms-plugin/connections.ts';
import type { ArrangeInput } from '../workflows/types.ts';
import { agentActivities } from './agent.ts';

const ORIGINAL = initialEncryptionConfiguration({
  node: 'cp-1',
  aescbcKey: Buffer.alloc(32).toString('base64'),
  endpoint: 'unix:///unused.sock',
  sourceEndpoint: 'unix:///unused.sock',
});

describe('an agent', () => {
  let directory: string;
  let input: ArrangeInput;
  const agent = agentActivities({
    node: 'cp-1',
    restartCommand: undefined,
    clusters: new Clusters(),
    plugins: new PluginConnections(),
  });

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'kf-agent-'));
    input = {
      file: join(directory, 'config.yaml'),
      resources: ['secrets', 'configmaps'],
      source: { type: 'aescbc', keyName: 'key1' },
      target: { type: 'kms', name: 'vault', endpoint: 'unix:///vault.sock', timeout: '3s' },
      migrationId: 'test',
      arrangement: 'target-reads',
      checkedHash: hashOf(ORIGINAL),
    };
    await writeFile(input.file, ORIGINAL);
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('makes an edit once that an attempt given up by Temporal and the next one ask for at the same time', async () => {
    const attempts = await Promise.all(Array.from({ length: 5 }, () => agent.arrangeConfiguration(input)));
    const hash = hashOf(await readFile(input.file));
    expect(attempts).toEqual(attempts.map(() => ({ hash })));
    expect(hash).not.toBe(input.checkedHash);
  });

  it('ends with the edit that was asked for last', async () => {
    const [, last] = await Promise.all([
      agent.arrangeConfiguration(input),
      agent.arrangeConfiguration({ ...input, arrangement: 'source-only' }),
    ]);
    expect(last).toEqual({ hash: input.checkedHash });
    expect(await readFile(input.file, 'utf8')).toBe(ORIGINAL);
  });

  it('makes the next edit where the one before it failed', async () => {
    const failed = agent.arrangeConfiguration({ ...input, file: join(directory, 'none.yaml') });
    const next = agent.arrangeConfiguration(input);
    await expect(failed).rejects.toMatchObject({ code: 'FileNotFound' });
    expect(await next).toEqual({ hash: hashOf(await readFile(input.file)) });
  });
});
