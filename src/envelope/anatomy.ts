import { parseHeader, type CompiledNames } from './header.ts';
import { decodeKmsV1 } from './kms-v1.ts';
import { decodeKmsV2 } from './kms-v2.ts';
import { kmsV2Prefix, prefixOf } from './prefixes.ts';
import type { EnvelopeHeader, LocalProvider } from './types.ts';

/** Sizes of a value and its parts, in bytes. What can't be told without the key isn't there. */
export interface ValueSizes {
  /** All that etcd has. */
  readonly value: number;
  /** Up to and with the ':' after the name. */
  readonly prefix?: number;
  /** kms: the encrypted DEK, or seed. */
  readonly encryptedDekSource?: number;
  /** kms v2: all annotations, names and values. */
  readonly annotations?: number;
  /** What holds the object: IV or nonce, ciphertext and tag. */
  readonly encryptedData?: number;
  /** The object as identity would have stored it. aescbc pads it by 1 to 16 bytes. */
  readonly object?: { readonly least: number; readonly most: number };
}

/** A value taken apart as far as it goes without a key. */
export interface ValueAnatomy {
  readonly header: EnvelopeHeader;
  readonly sizes: ValueSizes;
}

/** What each format adds to an object, in bytes. */
const gcmOverhead = 12 + 16;
const seedInfo = 32;

const localObject: Readonly<Record<LocalProvider, (data: number) => { least: number; most: number }>> = {
  aescbc: (data) => ({ least: data - 32, most: data - 17 }),
  aesgcm: (data) => exactly(data - gcmOverhead),
  secretbox: (data) => exactly(data - 24 - 16),
};

/**
 * Tells what a raw etcd value is made of, without opening it. Never throws.
 *
 * @param names - see {@link parseHeader}; without them a name that holds ':' is cut at it, and the sizes after it are wrong
 */
export function anatomyOf(value: Buffer, names?: CompiledNames): ValueAnatomy {
  const header = parseHeader(value, names);
  return { header, sizes: sizesOf(value, header) };
}

function sizesOf(value: Buffer, header: EnvelopeHeader): ValueSizes {
  switch (header.provider) {
    case 'unknown':
      return { value: value.length };
    case 'identity':
      return { value: value.length, prefix: 0, object: exactly(value.length) };
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox': {
      const prefix = Buffer.byteLength(prefixOf({ type: header.provider, keyName: header.keyName }));
      const encryptedData = value.length - prefix;
      const object = localObject[header.provider](encryptedData);
      return { value: value.length, prefix, encryptedData, object };
    }
    case 'kms':
      return header.version === 'v1' ? kmsV1Sizes(value, header.name) : kmsV2Sizes(value, header.name);
  }
}

/** A guessed name may end too early: then the length that follows is anything, also too long. */
function kmsV1Sizes(value: Buffer, name: string): ValueSizes {
  const prefix = Buffer.byteLength(prefixOf({ type: 'kms-v1', name }));
  try {
    const { encryptedDek, encryptedData } = decodeKmsV1(value.subarray(prefix));
    return {
      value: value.length,
      prefix,
      encryptedDekSource: encryptedDek.length,
      encryptedData: encryptedData.length,
    };
  } catch {
    return { value: value.length, prefix };
  }
}

function kmsV2Sizes(value: Buffer, name: string): ValueSizes {
  const { encryptedData, encryptedDekSource, annotations, dekSourceType } = decodeKmsV2(value);
  const overhead = gcmOverhead + (dekSourceType === 'hkdf-sha256-seed' ? seedInfo : 0);
  return {
    value: value.length,
    prefix: Buffer.byteLength(kmsV2Prefix(name)),
    encryptedDekSource: encryptedDekSource.length,
    annotations: Object.entries(annotations).reduce(
      (sum, [key, bytes]) => sum + Buffer.byteLength(key) + bytes.length,
      0,
    ),
    encryptedData: encryptedData.length,
    ...(encryptedData.length < overhead ? {} : { object: exactly(encryptedData.length - overhead) }),
  };
}

function exactly(bytes: number): { least: number; most: number } {
  return { least: bytes, most: bytes };
}
