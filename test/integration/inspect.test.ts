import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { localProvider } from '../../src/envelope/providers.ts';
import { runCli, type CliAnswer } from '../support/cli.ts';
import { EtcdAlone } from '../support/etcd-alone.ts';

jest.setTimeout(120_000);

const PREFIX = '/registry/secrets/default/';
/** More than a page of the command. */
const VALUES = 120;

describe('keyferry inspect of an etcd', () => {
  let etcd: EtcdAlone;

  const inspect = async (...args: string[]): Promise<CliAnswer> =>
    await runCli(['inspect', '--endpoints', etcd.endpoints.join(','), ...args]);

  beforeAll(async () => {
    etcd = await EtcdAlone.up();
    const provider = localProvider('secretbox', 'key1', Buffer.alloc(32));
    for (let i = 0; i < VALUES; i++) {
      const key = `${PREFIX}${String(i).padStart(3, '0')}`;
      await etcd.put([key], await provider.seal(Buffer.alloc(i), Buffer.from(key)));
    }
    await etcd.put(['/registry/secrets/elsewhere/größe'], Buffer.from('k8s:enc:rot13:v1:k:'));
  }, 300_000);

  afterAll(() => etcd.down(), 60_000);

  test('tells of one key', async () => {
    const answer = await inspect('--json', `${PREFIX}007`);
    expect(answer).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(answer.stdout)).toMatchObject({
      key: `${PREFIX}007`,
      provider: 'secretbox',
      keyName: 'key1',
      sizes: { object: { least: 7, most: 7 } },
    });
  });

  test('tells of each key under a prefix, in their order, and no other', async () => {
    const answer = await inspect('--json', '--prefix', PREFIX);
    expect(answer).toMatchObject({ code: 0, stderr: '' });
    const keys = answer.stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { key: string }).key);
    expect(keys).toEqual(Array.from({ length: VALUES }, (_, i) => `${PREFIX}${String(i).padStart(3, '0')}`));
    expect(await inspect('--prefix', '/registry/secrets/')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining(
        '/registry/secrets/elsewhere/größe\n  provider      none that kube-apiserver reads',
      ),
    });
  });

  test('says that there is no such key, that a prefix has no end, and that nobody answers', async () => {
    expect(await inspect('/registry/none')).toMatchObject({
      code: 69,
      stderr: expect.stringMatching(/no key \/registry\/none[^]*what to do/),
    });
    expect((await inspect('--prefix', '/registry/secrets')).code).toBe(64);
    const nobody = await runCli(['inspect', '--endpoints', 'http://127.0.0.1:1', `${PREFIX}007`]);
    expect(nobody).toMatchObject({ code: 69, stdout: '', stderr: expect.stringContaining('--endpoints') });
  });
});
