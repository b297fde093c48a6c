import { describe, expect, it } from '@jest/globals';
import { EnvelopeChain } from './chain.ts';
import { EnvelopeError } from './errors.ts';
import { CounterNonces, sealKmsV2, sealKmsV2WithKey } from './kms-v2.ts';
import {
  identityProvider,
  kmsV1Provider,
  kmsV2Provider,
  localProvider,
  type EnvelopeProvider,
  type KmsV2DekSources,
} from './providers.ts';

const at = Buffer.from('/registry/secrets/default/a');
const object = Buffer.from('k8s\0 an object');
const aescbc = (name: string, byte = 1) => localProvider('aescbc', name, Buffer.alloc(32, byte));
const aesgcm = (name: string, byte = 1) => localProvider('aesgcm', name, Buffer.alloc(32, byte));
const secretbox = localProvider('secretbox', 'box', Buffer.alloc(32, 2));

const seed = Buffer.alloc(32, 7);
const sources = (over: Partial<KmsV2DekSources> = {}): KmsV2DekSources => ({
  decrypt: () => Promise.resolve(seed),
  keyId: () => Promise.resolve('key-2'),
  writer: () => Promise.resolve({ seed, keyId: 'key-2', encryptedDekSource: Buffer.from('sealed') }),
  ...over,
});
const kms = (over?: Partial<KmsV2DekSources>) => kmsV2Provider('vault', sources(over));
const kmsValue = (keyId: string) =>
  sealKmsV2({
    providerName: 'vault',
    etcdKey: at,
    plaintext: object,
    seed,
    keyId,
    encryptedDekSource: Buffer.from('sealed'),
  });

const chain = (first: EnvelopeProvider, ...others: EnvelopeProvider[]) =>
  new EnvelopeChain([first, ...others]);
const sealedBy = async (provider: EnvelopeProvider) => await provider.seal(object, at);

describe('opening', () => {
  it.each([
    ['the first provider', [aesgcm('a'), secretbox], aesgcm('a'), false],
    ['a later provider', [aesgcm('a'), secretbox], secretbox, true],
    ['a later key of the first provider', [aescbc('a'), aescbc('b', 2)], aescbc('b', 2), true],
    ['identity, where it comes first', [identityProvider(), aescbc('a')], identityProvider(), false],
    ['identity, where it comes last', [aescbc('a'), identityProvider()], identityProvider(), true],
    ['a provider behind identity', [identityProvider(), aescbc('a')], aescbc('a'), true],
    ['kms with the key id that it writes', [kms()], kms(), false],
    ['kms behind another', [aescbc('a'), kms()], kms(), true],
  ] as const)('a value of %s says whether it is stale', async (_, [first, ...others], writer, stale) => {
    expect(await chain(first, ...others).open(await sealedBy(writer), at)).toEqual({
      plaintext: object,
      stale,
    });
  });

  it('a kms value of an older key id, or of an older DEK source type, is stale', async () => {
    expect((await chain(kms()).open(kmsValue('key-1'), at)).stale).toBe(true);
    const older = sealKmsV2WithKey({
      providerName: 'vault',
      etcdKey: at,
      plaintext: object,
      dek: seed,
      nonces: new CounterNonces(),
      keyId: 'key-2',
      encryptedDekSource: Buffer.from('sealed'),
    });
    expect(await chain(kms()).open(older, at)).toEqual({ plaintext: object, stale: true });
  });

  it('names with colons are told apart by the configuration, all that fit are tried', async () => {
    const [short, long] = [aesgcm('a', 1), aesgcm('a:b', 2)];
    for (const writer of [short, long]) {
      expect((await chain(short, long).open(await sealedBy(writer), at)).plaintext).toEqual(object);
      expect((await chain(long, short).open(await sealedBy(writer), at)).plaintext).toEqual(object);
    }
  });

  it('two keys of one name are both tried', async () => {
    const [first, second] = [aesgcm('a', 1), aesgcm('a', 2)];
    expect(await chain(first, second).open(await sealedBy(second), at)).toEqual({
      plaintext: object,
      stale: true,
    });
  });

  it('asks the plugin for its key id only where kms writes', async () => {
    const asked = () => Promise.reject(new Error('asked'));
    expect((await chain(aescbc('a'), kms({ keyId: asked })).open(kmsValue('key-1'), at)).stale).toBe(true);
    await expect(chain(kms({ keyId: asked })).open(kmsValue('key-1'), at)).rejects.toThrow('asked');
  });

  it.each([
    ['of a provider that is not there', 'EnvelopeNoProvider', [aesgcm('a'), identityProvider()], secretbox],
    ['of a key that is not there', 'EnvelopeNoProvider', [aesgcm('a')], aesgcm('b')],
    ['under another key of the same name', 'EnvelopeNotAuthentic', [aesgcm('a', 9)], aesgcm('a', 1)],
    [
      'under two other keys of the same name',
      'EnvelopeNoneOpens',
      [aesgcm('a', 8), aesgcm('a', 9)],
      aesgcm('a', 1),
    ],
  ] as const)('a value %s is refused as %s', async (_, code, [first, ...others], writer) => {
    const value = await sealedBy(writer);
    await expect(chain(first, ...others).open(value, at)).rejects.toMatchObject({
      name: 'EnvelopeError',
      code,
    });
  });

  it('a value that begins as encrypted ones do is never taken as it is', async () => {
    const value = Buffer.from('k8s:enc:rot13:v1:k:content');
    const refused = await chain(identityProvider())
      .open(value, at)
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'EnvelopeNoProvider' });
    expect(String(refused)).not.toContain('content');
  });

  it('a value moved to another etcd key opens only in formats that do not authenticate it', async () => {
    const elsewhere = Buffer.from('/registry/secrets/default/b');
    for (const provider of [aescbc('a'), secretbox]) {
      expect((await chain(provider).open(await sealedBy(provider), elsewhere)).plaintext).toEqual(object);
    }
    for (const provider of [aesgcm('a'), kms()]) {
      await expect(chain(provider).open(await sealedBy(provider), elsewhere)).rejects.toBeInstanceOf(
        EnvelopeError,
      );
    }
  });

  it('says that a key service is away rather than that another key does not fit', async () => {
    const away = new Error('the plugin is away');
    const old = (name: string, error?: Error) =>
      kmsV1Provider(name, {
        decrypt: () => (error ? Promise.reject(error) : Promise.resolve(Buffer.alloc(32))),
      });
    const value = Buffer.concat([Buffer.from('k8s:enc:kms:v1:a:b:'), Buffer.of(0, 1, 9), Buffer.alloc(40)]);
    await expect(chain(old('a'), old('a:b', away)).open(value, at)).rejects.toBe(away);
  });
});

describe('sealing', () => {
  it('is done by the first provider', async () => {
    const value = await chain(secretbox, aescbc('a')).seal(object, at);
    expect(value.toString('latin1')).toMatch(/^k8s:enc:secretbox:v1:box:/);
  });

  it('is refused by kms v1, before anything is read', async () => {
    const old = kmsV1Provider('old', { decrypt: () => Promise.resolve(Buffer.alloc(32)) });
    const refused = { code: 'EnvelopeReadOnly', message: expect.stringContaining('kms v1 "old"') };
    await expect(chain(old).prepareToSeal()).rejects.toMatchObject(refused);
    await expect(chain(old).seal(object, at)).rejects.toMatchObject(refused);
  });

  it('as identity is refused for what identity would not read again', async () => {
    await expect(chain(identityProvider()).seal(Buffer.from('k8s:enc:x'), at)).rejects.toMatchObject({
      code: 'EnvelopeLimit',
    });
  });

  it('fails at once where the plugin has no seed to write with', async () => {
    const away = kms({ writer: () => Promise.reject(new Error('the plugin is away')) });
    await expect(chain(away).prepareToSeal()).rejects.toThrow('the plugin is away');
    await chain(secretbox, away).prepareToSeal();
  });
});
