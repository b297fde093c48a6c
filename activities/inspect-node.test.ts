import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { initialKmsConfiguration, SOURCE_KMS } from '../lab/encryption-configuration.ts';
import { Clusters } from '../src/cluster/cluster.ts';
import { PluginConnections } from '../src/kms-plugin/connections.ts';
import { MockPlugin, wellBehaved, type MockBehaviour } from '../src/kms-plugin/mock-plugin.test-helper.ts';
import { judgeNodes, type Check } from '../src/plan/preflight.ts';
import type { NodeFile } from '../workflows/types.ts';
import { agentActivities } from './agent.ts';

const agent = agentActivities({
  node: 'cp-1',
  restartCommand: undefined,
  clusters: new Clusters(),
  plugins: new PluginConnections(),
});
const plugins: MockPlugin[] = [];
let directory: string;
let input: NodeFile;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kf-inspect-'));
  const endpointOf = (socket: string) => `unix://${join(directory, socket)}`;
  input = {
    file: join(directory, 'config.yaml'),
    resources: ['secrets', 'configmaps'],
    source: { type: 'kms', name: SOURCE_KMS },
    target: { type: 'kms', name: 'new', endpoint: endpointOf('new.sock'), timeout: '60s' },
  };
  writeFileSync(
    input.file,
    initialKmsConfiguration({
      node: 'cp-1',
      aescbcKey: '',
      endpoint: endpointOf('new.sock'),
      sourceEndpoint: endpointOf('old.sock'),
    }).replace('timeout: 3s', 'timeout: 60s'),
  );
});

afterEach(() => {
  for (const plugin of plugins.splice(0)) plugin.stop();
  rmSync(directory, { recursive: true });
});

async function start(socket: string, keyId: string, mistake: Partial<MockBehaviour> = {}): Promise<void> {
  plugins.push(await MockPlugin.start(join(directory, socket), { ...wellBehaved(keyId), ...mistake }));
}

async function pluginChecks(): Promise<Check[]> {
  const checks = judgeNodes([await agent.inspectNode(input)], 'Reload');
  return checks.filter(({ name }) => name.includes('plugin'));
}

const unwell = { status: () => ({ version: 'v2', healthz: 'the key is disabled', keyId: 'k/1' }) };

describe('an agent that looks at its node', () => {
  it('tries the plugins of target and source', async () => {
    await start('old.sock', 'old/1');
    await start('new.sock', 'new/1');
    expect(await pluginChecks()).toEqual([
      { name: 'target plugin on cp-1', outcome: 'pass', detail: expect.stringContaining('key id new/1') },
      { name: 'source plugin on cp-1', outcome: 'pass', detail: expect.stringContaining('key id old/1') },
    ]);
  });

  it('tells how many bytes each plugin adds to a value', async () => {
    await start('old.sock', 'old/number-1');
    await start('new.sock', 'new/1');
    // A sealed seed of 32 bytes with nonce and tag; an annotation of 24 + 1 bytes, with its tags and lengths.
    const beside = 60 + 25 + 8;
    expect(await agent.inspectNode(input)).toMatchObject({
      plugin: { sealBytes: beside + 'new/1'.length },
      sourcePlugin: { sealBytes: beside + 'old/number-1'.length },
    });
  });

  it('holds a migration up for what is wrong with the target, until it is mended', async () => {
    await start('old.sock', 'old/1');
    await start('new.sock', 'new/1', unwell);
    expect((await pluginChecks())[0]).toMatchObject({
      name: 'target plugin on cp-1',
      outcome: 'fail',
      passing: true,
      detail: expect.stringContaining('health: Status is not ok: the key is disabled'),
      remedy: expect.stringMatching(/^mend what it says/),
    });
  });

  it('only warns of what is wrong with the source: a way out of a bad plugin must be open', async () => {
    await start('old.sock', 'old/1', unwell);
    await start('new.sock', 'new/1');
    expect(await pluginChecks()).toEqual([
      expect.objectContaining({ outcome: 'pass' }),
      expect.objectContaining({
        name: 'source plugin on cp-1',
        outcome: 'warn',
        detail: expect.stringContaining('the key is disabled'),
      }),
    ]);
  });

  it('finds a target that would share the socket of an entry that is there', async () => {
    await start('old.sock', 'old/1');
    input = {
      ...input,
      target: { ...input.target, endpoint: `unix://${join(directory, 'old.sock')}` } as never,
    };
    expect((await pluginChecks())[0]).toMatchObject({
      name: 'target plugin on cp-1',
      outcome: 'fail',
      detail: `entries apart: "${SOURCE_KMS}" and "new" share a socket`,
    });
  });

  it('refuses a third plugin beside those of source and target, and says why', async () => {
    await start('old.sock', 'old/1');
    await start('new.sock', 'new/1');
    const third = `- kms: { apiVersion: v2, name: third, endpoint: "unix://${join(directory, 'third.sock')}" }`;
    writeFileSync(
      input.file,
      readFileSync(input.file, 'utf8').replace(/^( *)- identity/m, `$1${third}\n$1- identity`),
    );
    const checks = judgeNodes([await agent.inspectNode(input)], 'Reload');
    expect(checks.find(({ name }) => name === 'configuration file on cp-1')).toEqual({
      name: 'configuration file on cp-1',
      outcome: 'fail',
      detail: expect.stringContaining(
        `"secrets" has the kms providers "${SOURCE_KMS}" and "third" already: with "new" every API server would depend on 3`,
      ),
      remedy: expect.stringContaining('migrate to "third" first'),
    });
  });

  it('looks at the plugin of the target even where the file is no EncryptionConfiguration', async () => {
    await start('new.sock', 'new/1');
    writeFileSync(input.file, 'kind: Other\n');
    expect(await pluginChecks()).toEqual([expect.objectContaining({ outcome: 'pass' })]);
  });
});

describe('findings of an agent of the version before', () => {
  it('are judged as they were', () => {
    const before = { node: 'cp-1', file: '/f', providers: [], troubles: [], canRestart: true };
    const judged = judgeNodes(
      [
        { ...before, plugin: { keyId: 'k/1', latencyMs: 5, problems: [] } },
        { ...before, plugin: { keyId: '', latencyMs: 0, problems: ['there is no socket'] } },
      ],
      'Reload',
    );
    expect(judged.filter(({ name }) => name.includes('plugin'))).toEqual([
      expect.objectContaining({ outcome: 'pass' }),
      expect.objectContaining({ outcome: 'fail', detail: 'there is no socket', passing: true }),
    ]);
  });
});
