import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { EnvelopeChain } from './chain.ts';
import { EnvelopeError } from './errors.ts';
import { compileNames, parseHeader } from './header.ts';
import { kmsV1Provider, kmsV2Provider, localProvider, type EnvelopeProvider } from './providers.ts';
import type { LocalProvider } from './types.ts';

/*
 * Values that Kubernetes' own transformers wrote: vectors/vectors.go made them, with the modules that
 * lab/servers/kubernetes/go.mod pins, and says how.
 */

interface Vector {
  readonly format: LocalProvider | 'kms-v1' | 'kms-v2';
  readonly name: string;
  /** kms v1: how the data is encrypted; kms v2: the DEK source type. */
  readonly payload?: string;
  readonly key: string;
  readonly keyId?: string;
  readonly etcdKey: string;
  readonly plaintext: string;
  readonly value: string;
}

const { values: vectors, changed } = JSON.parse(
  readFileSync(join(import.meta.dirname, 'vectors', 'kubernetes-1.36.3.json'), 'utf8'),
) as {
  values: Vector[];
  /** Values of aescbc that were changed, and what Kubernetes opens them as; null where it refuses. */
  changed: { value: string; opens: string | null }[];
};
const bytes = (base64: string): Buffer => Buffer.from(base64, 'base64');

function providerOf({ format, name, key, keyId = '' }: Vector): EnvelopeProvider {
  const decrypt = () => Promise.resolve(bytes(key));
  if (format === 'kms-v1') return kmsV1Provider(name, { decrypt });
  if (format !== 'kms-v2') return localProvider(format, name, bytes(key));
  const writer = () => Promise.reject(new Error('nothing is written here'));
  return kmsV2Provider(name, { decrypt, keyId: () => Promise.resolve(keyId), writer });
}

describe('a value that Kubernetes wrote', () => {
  it.each(
    vectors.map((vector) => {
      const { format, name, payload = '' } = vector;
      return [format, payload, name, bytes(vector.plaintext).length, vector] as const;
    }),
  )('in %s %s under "%s", of %i bytes, opens', async (_format, _payload, _name, _size, vector) => {
    const chain = new EnvelopeChain([providerOf(vector)]);
    const opened = await chain.open(bytes(vector.value), Buffer.from(vector.etcdKey));
    expect(opened.plaintext).toEqual(bytes(vector.plaintext));
    // What older servers wrote is written anew, though provider and key are those of the writer.
    expect(opened.stale).toBe(vector.payload === 'aes-cbc' || vector.payload === 'aes-gcm-key');
  });

  it('is there in every format', () => {
    expect(new Set(vectors.map(({ format, payload = '' }) => `${format} ${payload}`.trim()))).toEqual(
      new Set([
        'aescbc',
        'aesgcm',
        'secretbox',
        'kms-v1 aes-gcm',
        'kms-v1 aes-cbc',
        'kms-v2 hkdf-sha256-seed',
        'kms-v2 aes-gcm-key',
      ]),
    );
  });

  it('has a header that names its provider and key', () => {
    for (const { format, name, keyId, payload, value } of vectors) {
      const expected =
        format === 'kms-v2'
          ? { provider: 'kms', version: 'v2', name, keyId, dekSourceType: payload }
          : format === 'kms-v1'
            ? { provider: 'kms', version: 'v1', name, nameGuessed: false }
            : { provider: format, keyName: name, nameGuessed: false };
      const names = compileNames(
        format === 'kms-v2'
          ? []
          : [format === 'kms-v1' ? { type: format, name } : { type: format, keyName: name }],
      );
      expect(parseHeader(bytes(value), names)).toMatchObject(expected);
    }
  });
});

describe('an aescbc value that was changed', () => {
  const chain = new EnvelopeChain([localProvider('aescbc', 'k', Buffer.alloc(32, 32))]);
  const open = async (value: string) =>
    await chain.open(bytes(value), Buffer.from('/any')).then(
      ({ plaintext }) => plaintext.toString('base64'),
      (error: unknown) => {
        expect(error).toBeInstanceOf(EnvelopeError);
        return null;
      },
    );

  it('opens as Kubernetes opens it, or does not', async () => {
    expect(changed.filter(({ opens }) => opens !== null).length).toBeGreaterThan(50);
    for (const { value, opens } of changed) expect(await open(value)).toBe(opens);
  });
});
