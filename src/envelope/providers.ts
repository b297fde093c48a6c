import { openAesCbc, sealAesCbc } from './aescbc.ts';
import { openAesGcm, sealAesGcm } from './aesgcm.ts';
import { EnvelopeError } from './errors.ts';
import { openIdentity, sealIdentity } from './identity.ts';
import { decodeKmsV1, openKmsV1 } from './kms-v1.ts';
import { decodeKmsV2, openKmsV2, sealKmsV2, type KmsV2Object, type KmsV2Seal } from './kms-v2.ts';
import { prefixOf } from './prefixes.ts';
import { openSecretbox, sealSecretbox } from './secretbox.ts';
import type { LocalProvider } from './types.ts';

/** A link of a chain: one provider, or one key of a local provider. */
export interface EnvelopeProvider {
  /** For messages: `aescbc key "key1"`. */
  readonly name: string;
  /** What its values begin with; empty for identity. */
  readonly prefix: Buffer;
  /** @param value - with the prefix */
  open(value: Buffer, etcdKey: Buffer): Promise<Opened> | Opened;
  /** @returns the value for etcd, with the prefix */
  seal(plaintext: Buffer, etcdKey: Buffer): Promise<Buffer> | Buffer;
  /** Fails where {@link seal} would fail whatever the object is. */
  prepareToSeal?(): Promise<void>;
}

interface Opened {
  readonly plaintext: Buffer;
  /** Whether this very provider would write it otherwise now. Asked only where it is the first one. */
  readonly outdated: () => Promise<boolean> | boolean;
}

/** Who decrypts the DEKs of a kms v1 entry: its plugin. */
export interface KmsV1Deks {
  /** @returns the DEK in the clear */
  decrypt(encryptedDek: Buffer): Promise<Buffer>;
}

/** Who makes and decrypts the DEK seeds of a kms v2 entry: its plugin. */
export interface KmsV2DekSources {
  /** @returns the DEK source of the value in the clear */
  decrypt(object: KmsV2Object): Promise<Buffer>;
  /** The key id that the plugin's Status names now. */
  keyId(): Promise<string>;
  /** The seed that is written with now; another one once the key id has changed. */
  writer(): Promise<Pick<KmsV2Seal, 'seed' | 'keyId' | 'encryptedDekSource' | 'annotations'>>;
}

const current = () => false;

/** Reads what isn't encrypted, and writes objects as they are. */
export function identityProvider(): EnvelopeProvider {
  return {
    name: 'identity',
    prefix: Buffer.alloc(0),
    open: (value) => ({ plaintext: openIdentity(value), outdated: current }),
    seal: sealIdentity,
  };
}

const localFormats: Readonly<
  Record<
    LocalProvider,
    {
      readonly open: (body: Buffer, key: Buffer, etcdKey: Buffer) => Buffer;
      readonly seal: (plaintext: Buffer, key: Buffer, etcdKey: Buffer) => Buffer;
    }
  >
> = {
  aescbc: { open: openAesCbc, seal: sealAesCbc },
  aesgcm: { open: openAesGcm, seal: (plaintext, key, etcdKey) => sealAesGcm(plaintext, key, etcdKey) },
  secretbox: { open: openSecretbox, seal: sealSecretbox },
};

/**
 * One key of a local provider.
 *
 * @param keyName - any text, colons included
 * @param key - 16, 24 or 32 bytes for AES, 32 for secretbox
 */
export function localProvider(type: LocalProvider, keyName: string, key: Buffer): EnvelopeProvider {
  const prefix = Buffer.from(prefixOf({ type, keyName }));
  const { open, seal } = localFormats[type];
  return {
    name: `${type} key ${JSON.stringify(keyName)}`,
    prefix,
    open: (value, etcdKey) => ({
      plaintext: open(value.subarray(prefix.length), key, etcdKey),
      outdated: current,
    }),
    seal: (plaintext, etcdKey) => Buffer.concat([prefix, seal(plaintext, key, etcdKey)]),
  };
}

/** A kms v1 entry: reads leftovers, writes nothing. */
export function kmsV1Provider(name: string, deks: KmsV1Deks): EnvelopeProvider {
  const prefix = Buffer.from(prefixOf({ type: 'kms-v1', name }));
  const label = `kms v1 ${JSON.stringify(name)}`;
  const refuse = () =>
    Promise.reject(
      new EnvelopeError(
        'EnvelopeReadOnly',
        `${label} can't be written: the format is only read, as a leftover`,
      ),
    );
  return {
    name: label,
    prefix,
    open: async (value, etcdKey) => {
      const object = decodeKmsV1(value.subarray(prefix.length));
      const { plaintext, payload } = openKmsV1(object, etcdKey, await deks.decrypt(object.encryptedDek));
      return { plaintext, outdated: () => payload === 'aes-cbc' };
    },
    seal: refuse,
    prepareToSeal: refuse,
  };
}

/** A kms v2 entry: reads both DEK source types, writes under a seed. */
export function kmsV2Provider(name: string, sources: KmsV2DekSources): EnvelopeProvider {
  return {
    name: `kms ${JSON.stringify(name)}`,
    prefix: Buffer.from(prefixOf({ type: 'kms', name })),
    open: async (value, etcdKey) => {
      const object = decodeKmsV2(value);
      const plaintext = openKmsV2(object, etcdKey, await sources.decrypt(object));
      const { keyId, dekSourceType } = object;
      return {
        plaintext,
        outdated: async () => dekSourceType !== 'hkdf-sha256-seed' || keyId !== (await sources.keyId()),
      };
    },
    seal: async (plaintext, etcdKey) =>
      sealKmsV2({ ...(await sources.writer()), providerName: name, etcdKey, plaintext }),
    prepareToSeal: async () => {
      await sources.writer();
    },
  };
}
