import { isUtf8 } from 'node:buffer';
import { hash } from 'node:crypto';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { kmsV2LimitProblem } from './limits.ts';
import { encryptedPrefix, localBody, prefixOf } from './prefixes.ts';
import { type ConfiguredName, type DekSourceType, type EnvelopeHeader, type LocalProvider } from './types.ts';

/** Configured names, ready to be compared with bytes; made once by {@link compileNames}, used for every value. */
export interface CompiledNames {
  readonly entries: readonly { readonly prefix: Buffer; readonly header: EnvelopeHeader }[];
}

/**
 * Prepares the names of a configuration for {@link parseHeader}.
 *
 * Give *all* local keys and kms v1 entries of the configuration, not only the target's: of two names where one begins
 * with the other and a ':', the longer that fits is taken. (The API server tries each that fits; here nothing is opened.)
 * kms v2 names need no help, they hold no ':'.
 */
export function compileNames(names: readonly ConfiguredName[]): CompiledNames {
  const entries = names.map((name) => ({
    prefix: Buffer.from(prefixOf(name)),
    header: (name.type === 'kms-v1'
      ? { provider: 'kms', version: 'v1', name: name.name, nameGuessed: false }
      : { provider: name.type, keyName: name.keyName, nameGuessed: false }) satisfies EnvelopeHeader,
  }));
  return { entries: entries.sort((a, b) => b.prefix.length - a.prefix.length) };
}

/**
 * Reads which provider, key and DEK a raw etcd value needs, without opening it.
 *
 * Never throws: what no API server reads is `unknown` with the reason. Of a kms v2 value only key id, DEK source, source
 * type and annotation names are looked at; the encrypted data is skipped over.
 *
 * @param value - the value as etcd has it
 * @param names - the configuration's names, for the formats whose names may hold ':'
 */
export function parseHeader(value: Buffer, names?: CompiledNames): EnvelopeHeader {
  if (!startsWith(value, encryptedPrefix, 0)) return { provider: 'identity', encoding: encodingOf(value) };
  const at = encryptedPrefix.length;
  if (startsWith(value, 'kms:v2:', at)) return kmsV2(value, at + 7);
  if (startsWith(value, 'aescbc:v1:', at)) return local('aescbc', value, at + 10, names);
  if (startsWith(value, 'aesgcm:v1:', at)) return local('aesgcm', value, at + 10, names);
  if (startsWith(value, 'secretbox:v1:', at)) return local('secretbox', value, at + 13, names);
  if (startsWith(value, 'kms:v1:', at)) return kmsV1(value, at + 7, names);
  return unknown('no provider of Kubernetes writes what follows k8s:enc:');
}

function unknown(reason: string): EnvelopeHeader {
  return { provider: 'unknown', reason };
}

/** Compares byte by byte: a subarray or a string per value costs more than the whole comparison. */
function startsWith(value: Buffer, ascii: string, at: number): boolean {
  if (value.length < at + ascii.length) return false;
  for (let i = 0; i < ascii.length; i++) if (value[at + i] !== ascii.charCodeAt(i)) return false;
  return true;
}

function encodingOf(value: Buffer): 'protobuf' | 'json' | 'cbor' | 'other' {
  if (startsWith(value, 'k8s\0', 0)) return 'protobuf';
  if (value[0] === 0xd9 && value[1] === 0xd9 && value[2] === 0xf7) return 'cbor';
  let i = 0;
  while (i < value.length && isSpace(value[i])) i++;
  return value[i] === 0x7b ? 'json' : 'other';
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** The configured name that fits, or else what stands before the first ':'. */
function named(
  value: Buffer,
  at: number,
  names: CompiledNames | undefined,
): { configured: EnvelopeHeader | undefined; name: string; body: number } | undefined {
  for (const { prefix, header } of names?.entries ?? []) {
    if (value.length >= prefix.length && prefix.equals(value.subarray(0, prefix.length))) {
      return { configured: header, name: '', body: prefix.length };
    }
  }
  const end = value.indexOf(0x3a, at);
  if (end <= at) return undefined;
  return { configured: undefined, name: value.toString('utf8', at, end), body: end + 1 };
}

function local(
  provider: LocalProvider,
  value: Buffer,
  at: number,
  names: CompiledNames | undefined,
): EnvelopeHeader {
  const found = named(value, at, names);
  if (found === undefined) return unknown(`${provider} value without a key name`);
  const size = value.length - found.body;
  const { least, multiple } = localBody[provider];
  // A guessed name may have ended too early, but then what follows is longer, never shorter.
  if (size < least)
    return unknown(`${provider} value of ${size} bytes after its key name, shorter than ${least}`);
  if (found.configured !== undefined && size % multiple !== 0) {
    return unknown(`${provider} value of ${size} bytes after its key name, not a multiple of ${multiple}`);
  }
  return found.configured ?? { provider, keyName: found.name, nameGuessed: true };
}

function kmsV1(value: Buffer, at: number, names: CompiledNames | undefined): EnvelopeHeader {
  const found = named(value, at, names);
  if (found === undefined) return unknown('kms v1 value without a provider name');
  const size = value.length - found.body;
  if (size < 2) return unknown('kms v1 value without an encrypted DEK');
  if (found.configured !== undefined && size < 2 + value.readUInt16BE(found.body)) {
    return unknown('kms v1 value shorter than its encrypted DEK');
  }
  return found.configured ?? { provider: 'kms', version: 'v1', name: found.name, nameGuessed: true };
}

function kmsV2(value: Buffer, at: number): EnvelopeHeader {
  const end = value.indexOf(0x3a, at);
  if (end <= at) return unknown('kms v2 value without a provider name');
  try {
    return kmsV2Fields(value.toString('utf8', at, end), value.subarray(end + 1));
  } catch {
    return unknown('kms v2 value that is not a protobuf message');
  }
}

const empty = Buffer.alloc(0);

function kmsV2Fields(name: string, body: Buffer): EnvelopeHeader {
  const reader = new BinaryReader(body);
  let encryptedDataBytes = 0;
  let keyId: Uint8Array = empty;
  let keyIdEnd = 0;
  let dekSource: Uint8Array = empty;
  let sourceType = 0;
  let annotations: Map<string, number> | undefined;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    // A field that comes with another wire type is an unknown field to Go as well.
    if (field === 1 && wireType === WireType.LengthDelimited) encryptedDataBytes = reader.bytes().length;
    else if (field === 2 && wireType === WireType.LengthDelimited) {
      keyId = reader.bytes();
      keyIdEnd = reader.pos;
    } else if (field === 3 && wireType === WireType.LengthDelimited) dekSource = reader.bytes();
    else if (field === 4 && wireType === WireType.LengthDelimited) {
      const entry = annotation(reader.bytes());
      (annotations ??= new Map()).set(entry.name, entry.valueBytes);
    } else if (field === 5 && wireType === WireType.Varint) sourceType = reader.int32();
    else reader.skip(wireType, field);
  }
  const dekSourceType = dekSourceTypeOf(sourceType);
  if (dekSourceType === undefined) return unknown(`kms v2 value with DEK source type ${sourceType}`);
  if (!isUtf8(keyId)) return unknown('kms v2 value with a key id that is not UTF-8');
  const annotationNames = annotations === undefined ? [] : [...annotations.keys()];
  let annotationBytes = 0;
  for (const [key, bytes] of annotations ?? []) annotationBytes += Buffer.byteLength(key) + bytes;
  const problem = kmsV2LimitProblem({
    keyIdBytes: keyId.length,
    dekSourceBytes: dekSource.length,
    encryptedDataBytes,
    annotationNames,
    annotationBytes,
  });
  if (problem !== undefined) return unknown(`kms v2 value: ${problem}`);
  return {
    provider: 'kms',
    version: 'v2',
    name,
    keyId: body.toString('utf8', keyIdEnd - keyId.length, keyIdEnd),
    dekSourceType,
    dekHash: hash('sha256', dekSource, 'hex').slice(0, 16),
    annotations: annotationNames,
  };
}

function annotation(entry: Uint8Array): { name: string; valueBytes: number } {
  const reader = new BinaryReader(entry);
  let name = '';
  let valueBytes = 0;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1 && wireType === WireType.LengthDelimited) name = reader.string(true);
    else if (field === 2 && wireType === WireType.LengthDelimited) valueBytes = reader.bytes().length;
    else reader.skip(wireType, field);
  }
  return { name, valueBytes };
}

/** The wire number of a DEK source type; `undefined` for one that Kubernetes doesn't know. */
export function dekSourceTypeOf(wire: number): DekSourceType | undefined {
  if (wire === 1) return 'hkdf-sha256-seed';
  return wire === 0 ? 'aes-gcm-key' : undefined;
}
