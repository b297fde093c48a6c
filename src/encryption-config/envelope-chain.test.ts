import { describe, expect, it } from '@jest/globals';
import { chainFor, refuseKmsV1Writer, type KmsConnector, type KmsEndpoint } from './envelope-chain.ts';

const at = Buffer.from('/registry/secrets/default/a');
const object = Buffer.from('k8s\0 an object');
const secret = (byte: number) => Buffer.alloc(32, byte).toString('base64');
const keys = (type: string, ...named: [string, number][]): string =>
  `{${type}: {keys: [${named.map(([name, byte]) => `{name: ${JSON.stringify(name)}, secret: "${secret(byte)}"}`).join(', ')}]}}`;
const entry = (resources: string, ...providers: string[]): string =>
  `- resources: [${resources}]\n  providers: [${providers.join(', ')}]\n`;
const file = (...entries: string[]): string =>
  `apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n${entries.join('')}`;
const kms = (version: string, name: string, more = ''): string =>
  `{kms: {apiVersion: ${version}, name: "${name}", endpoint: "unix:///run/${name}.sock"${more}}}`;
const identity = '{identity: {}}';

/** Plugins with one seed, and what was asked to connect to. */
function plugins(): KmsConnector & { readonly asked: KmsEndpoint[] } {
  const asked: KmsEndpoint[] = [];
  const seed = Buffer.alloc(32, 7);
  return {
    asked,
    v1: (one) => {
      asked.push(one);
      return { decrypt: () => Promise.resolve(seed) };
    },
    v2: (one) => {
      asked.push(one);
      return {
        decrypt: () => Promise.resolve(seed),
        keyId: () => Promise.resolve('key-1'),
        writer: () =>
          Promise.resolve({ seed, keyId: 'key-1', encryptedDekSource: Buffer.from('sealed by ' + one.name) }),
      };
    },
  };
}

const chain = (text: string, resource = 'secrets') => chainFor(text, resource, plugins());
const sealed = async (text: string, resource?: string) => await chain(text, resource).seal(object, at);
const prefix = (value: Buffer) => /^k8s:enc:[a-z]+:v.:[^:]+:|^/.exec(value.toString('latin1'))?.[0];

describe('the chain of a resource', () => {
  it.each([
    ['local keys', entry('secrets', keys('aescbc', ['a', 1])), 'k8s:enc:aescbc:v1:a:'],
    [
      'the first of several keys',
      entry('secrets', keys('aesgcm', ['b', 1], ['a', 2])),
      'k8s:enc:aesgcm:v1:b:',
    ],
    [
      'the first of several providers',
      entry('secrets', keys('secretbox', ['s', 1]), identity),
      'k8s:enc:secretbox:v1:s:',
    ],
    ['kms', entry('secrets', kms('v2', 'vault'), keys('aescbc', ['a', 1])), 'k8s:enc:kms:v2:vault:'],
    ['identity', entry('secrets', identity, keys('aescbc', ['a', 1])), ''],
    ['identity, where no entry covers it', entry('configmaps', keys('aescbc', ['a', 1])), ''],
    ['a wildcard', entry('"*.*"', keys('aescbc', ['all', 1])), 'k8s:enc:aescbc:v1:all:'],
    [
      'an exact name that hides wildcards',
      entry('secrets', identity) + entry('"*."', keys('aescbc', ['core', 1])),
      '',
    ],
    [
      'the first of two entries that name it',
      entry('secrets', keys('aescbc', ['first', 1])) + entry('secrets', keys('aescbc', ['second', 2])),
      'k8s:enc:aescbc:v1:first:',
    ],
  ])('writes by %s', async (_, entries, expected) => {
    expect(prefix(await sealed(file(entries)))).toBe(expected);
  });

  it('reads with the providers of all entries that name it, but not with those of the wildcard', async () => {
    const text = file(
      entry('secrets', keys('aescbc', ['first', 1])),
      entry('configmaps, secrets', keys('aesgcm', ['second', 2])),
      entry('"*."', keys('secretbox', ['core', 3])),
    );
    const byConfigMaps = await sealed(text, 'configmaps');
    expect(await chain(text).open(byConfigMaps, at)).toEqual({ plaintext: object, stale: true });
    expect((await chain(text, 'configmaps').open(byConfigMaps, at)).stale).toBe(false);
    await expect(chain(text).open(await sealed(text, 'pods'), at)).rejects.toMatchObject({
      code: 'EnvelopeNoProvider',
    });
  });

  it('reads a name with a colon by the configuration', async () => {
    const text = file(entry('secrets', keys('aesgcm', ['a', 1], ['a:b', 2])));
    const other = file(entry('secrets', keys('aesgcm', ['a:b', 2])));
    expect(await chain(text).open(await sealed(other), at)).toEqual({ plaintext: object, stale: true });
  });

  it('reaches each of its kms entries once, with the timeout of the file', () => {
    const connect = plugins();
    const text = file(
      entry('secrets', kms('v2', 'new'), kms('v1', 'old', ', timeout: 500ms')),
      entry('configmaps', kms('v2', 'elsewhere')),
    );
    chainFor(text, 'secrets', connect);
    expect(connect.asked).toEqual([
      { name: 'new', endpoint: 'unix:///run/new.sock', timeoutMs: 3_000 },
      { name: 'old', endpoint: 'unix:///run/old.sock', timeoutMs: 500 },
    ]);
  });

  it('shares a kms source between resources', async () => {
    const text = file(entry('secrets, configmaps', kms('v2', 'vault')));
    expect(await chain(text).open(await sealed(text, 'configmaps'), at)).toEqual({
      plaintext: object,
      stale: false,
    });
  });

  it('of a file that kube-apiserver refuses is not made', () => {
    expect(() => chain(file(entry('Secrets', identity)))).toThrow(
      expect.objectContaining({ code: 'EncryptionConfigurationInvalid' }),
    );
  });
});

describe('kms v1', () => {
  it('as the writer is refused by name, with what to do', () => {
    const text = file(entry('secrets', kms('v1', 'old'), identity), entry('"*.*"', kms('v2', 'new')));
    expect(() => refuseKmsV1Writer(text, 'secrets')).toThrow(
      expect.objectContaining({
        code: 'RefusedKmsV1Writer',
        message: expect.stringContaining('"old"'),
        remedy: expect.stringContaining('apiVersion: v2'),
      }),
    );
    refuseKmsV1Writer(text, 'configmaps');
  });

  it('as a reader is taken', () => {
    refuseKmsV1Writer(file(entry('secrets', kms('v2', 'new'), kms('v1', 'old'))), 'secrets');
  });
});
