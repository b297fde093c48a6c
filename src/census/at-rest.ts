import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { UNTOLD } from '../plan/version-tally.ts';

/** What API servers put before an object of a built-in resource (k8s.io/apimachinery, serializer/protobuf). */
const PROTOBUF = Buffer.from('k8s\0');
const SEALED = Buffer.from('k8s:enc:');
const OPENING_BRACE = 0x7b;
/** Longer than any group with its version: DNS names are bounded. */
const MAX_API_VERSION = 320;

/**
 * The apiVersion of an object, from its value as etcd has it; {@link UNTOLD} where the value doesn't say.
 *
 * Custom resources are stored as JSON, built-in ones as a protobuf `runtime.Unknown`: 1 TypeMeta (1 apiVersion, 2 kind).
 */
export function apiVersionAtRest(value: Buffer): string {
  if (startsWith(value, SEALED)) return UNTOLD.sealed;
  const told = startsWith(value, PROTOBUF)
    ? fromProtobuf(value.subarray(PROTOBUF.length))
    : value[0] === OPENING_BRACE
      ? fromJson(value)
      : undefined;
  return told === undefined || told === '' || told.length > MAX_API_VERSION ? UNTOLD.unknown : told;
}

function startsWith(value: Buffer, prefix: Buffer): boolean {
  return value.subarray(0, prefix.length).equals(prefix);
}

function fromJson(value: Buffer): string | undefined {
  try {
    const { apiVersion } = JSON.parse(value.toString('utf8')) as { apiVersion?: unknown };
    return typeof apiVersion === 'string' ? apiVersion : undefined;
  } catch {
    return undefined;
  }
}

function fromProtobuf(unknown: Buffer): string | undefined {
  try {
    const typeMeta = firstField(unknown);
    const apiVersion = typeMeta === undefined ? undefined : firstField(typeMeta);
    return apiVersion === undefined ? undefined : Buffer.from(apiVersion).toString('utf8');
  } catch {
    return undefined;
  }
}

/** The bytes of field 1. */
function firstField(message: Uint8Array): Uint8Array | undefined {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1 && type === WireType.LengthDelimited) return reader.bytes();
    reader.skip(type, field);
  }
  return undefined;
}
