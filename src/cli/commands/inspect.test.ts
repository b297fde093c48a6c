import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { localProvider } from '../../envelope/providers.ts';
import { sealKmsV2 } from '../../envelope/kms-v2.ts';
import type { CliAnswer } from '../../../test/support/cli.ts';
import { reportError } from '../output.ts';
import { inspectCommand } from './inspect.ts';

const at = Buffer.from('/registry/secrets/default/a');
const object = Buffer.from('k8s\0 an object');
const kms = sealKmsV2({
  providerName: 'vault',
  etcdKey: at,
  plaintext: object,
  seed: Buffer.alloc(32),
  keyId: 'key-1',
  encryptedDekSource: Buffer.from('sealed'),
  annotations: { 'a.example.com': Buffer.of(1) },
});
const aescbc = () => localProvider('aescbc', 'a:b', Buffer.alloc(16)).seal(object, at);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kf-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function fileOf(content: Buffer | string, name = 'value'): string {
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
}

/** The command in this process, and the exit code that it would leave with. */
async function inspect(...args: string[]): Promise<CliAnswer> {
  const said = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    jest.spyOn(process[stream], 'write').mockImplementation((text) => {
      said[stream] += text.toString();
      return true;
    });
  }
  process.exitCode = 0;
  try {
    await inspectCommand().parseAsync(args, { from: 'user' });
    return { code: process.exitCode, ...said };
  } catch (error) {
    return { code: reportError(error, false), ...said };
  } finally {
    process.exitCode = 0;
    jest.restoreAllMocks();
  }
}

const said = ({ stdout }: CliAnswer): unknown[] =>
  stdout
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text) as unknown);

const ofKms = {
  provider: 'kms',
  version: 'v2',
  name: 'vault',
  keyId: 'key-1',
  dekSourceType: 'hkdf-sha256-seed',
  annotations: ['a.example.com'],
  sizes: { value: kms.length, encryptedDekSource: 6, annotations: 14, object: { least: 14, most: 14 } },
};

describe('keyferry inspect', () => {
  it.each([
    ['raw', kms],
    ['raw, with the line feed that etcdctl adds', Buffer.concat([kms, Buffer.from('\n')])],
    ['in base64', kms.toString('base64')],
    ['in base64 of several lines', kms.toString('base64').replaceAll(/.{76}/g, '$&\n')],
  ])('tells of a value %s what it says of itself, and nothing of its content', async (_, content) => {
    const answer = await inspect('--json', fileOf(content));
    expect(answer.code).toBe(0);
    expect(said(answer)).toMatchObject([ofKms]);
    const text = await inspect(fileOf(content));
    expect(text.stdout).toMatch(/kms v2[^]*"vault"[^]*"key-1"[^]*seed[^]*a\.example\.com[^]*object 14/);
  });

  it('takes what etcdctl prints as JSON, and JSON lines', async () => {
    const plain = Buffer.from('{"kind":"Widget"}');
    const [key, other] = ['/registry/secrets/default/a', '/registry/example.com/widgets/b'];
    const etcdctl = {
      header: { revision: 7 },
      kvs: [
        { key: Buffer.from(key).toString('base64'), value: kms.toString('base64') },
        { key: Buffer.from(other).toString('base64'), value: plain.toString('base64') },
      ],
    };
    const lines = [
      { key, value: kms.toString('base64') },
      { key: other, value: plain.toString('base64') },
    ].map((one) => JSON.stringify(one));
    for (const input of [JSON.stringify(etcdctl), JSON.stringify(etcdctl, null, 2), lines.join('\n')]) {
      expect(said(await inspect('--json', fileOf(input)))).toMatchObject([
        { key, ...ofKms },
        { key: other, provider: 'identity', encoding: 'json' },
      ]);
    }
  });

  it('says that a name may go on where it holds a colon, unless the configuration settles it', async () => {
    const file = fileOf(await aescbc());
    expect((await inspect(file)).stdout).toMatch(/"a" \(ends at the first ":"/);
    const configuration = fileOf(
      `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [configmaps]
  providers: [{aescbc: {keys: [{name: "a:b", secret: ${Buffer.alloc(16).toString('base64')}}]}}]
`,
      'config.yaml',
    );
    expect(said(await inspect('--json', '--encryption-config', configuration, file))).toMatchObject([
      { provider: 'aescbc', keyName: 'a:b', nameGuessed: false, sizes: { object: { least: 0, most: 15 } } },
    ]);
  });

  it('leaves with 1 for what no API server reads, and says why', async () => {
    const answer = await inspect(fileOf('k8s:enc:rot13:v1:k:value'));
    expect(answer.code).toBe(1);
    expect(answer.stdout).toContain('none that kube-apiserver reads: no provider of Kubernetes writes');
    expect((await inspect('--json', fileOf('{"key":"/a","value":""}\n{"key":"/b","value":"?"}'))).code).toBe(
      1,
    );
  });

  it('says what is wrong with its arguments and its input', async () => {
    expect((await inspect('--prefix', '/registry/')).code).toBe(64);
    expect((await inspect('--endpoints', 'http://127.0.0.1:1')).code).toBe(64);
    expect((await inspect('--input', 'base64', fileOf('?'))).code).toBe(65);
    expect((await inspect(fileOf(''))).stderr).toMatch(/the input is empty[^]*what to do/);
    expect(await inspect(join(folder, 'missing'))).toMatchObject({ code: 69, stdout: '' });
  });
});
