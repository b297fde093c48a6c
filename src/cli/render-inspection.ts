import type { ValueSizes } from '../envelope/anatomy.ts';
import type { DekSourceType, EnvelopeHeader } from '../envelope/types.ts';

/** What `keyferry inspect` answers of one value. */
export type Inspection =
  | (EnvelopeHeader & { readonly key?: string; readonly sizes: ValueSizes })
  | { readonly key: string | null; readonly error: string };

const dekSources: Readonly<Record<DekSourceType, string>> = {
  'hkdf-sha256-seed': 'seed (HKDF_SHA256_XNONCE_AES_GCM_SEED)',
  'aes-gcm-key': 'key (AES_GCM_KEY), as Kubernetes before 1.29 writes it',
};

const guessed =
  'ends at the first ":", as nothing says otherwise; a name may hold ":", give --encryption-config to be sure';

/** For a person: a heading where the key is known, and a line for each thing that the value says of itself. */
export function renderInspection(one: Inspection): string {
  const heading = one.key === undefined || one.key === null ? [] : [one.key];
  const rows = 'error' in one ? [['error', one.error] as const] : rowsOf(one);
  return [...heading, ...rows.map(([name, text]) => `  ${name.padEnd(13)} ${text}`)].join('\n');
}

type Row = readonly [name: string, text: string];

function rowsOf(header: EnvelopeHeader & { readonly sizes: ValueSizes }): Row[] {
  const sizes: Row = ['sizes', sizesText(header.sizes)];
  switch (header.provider) {
    case 'unknown':
      return [['provider', `none that kube-apiserver reads: ${header.reason}`], sizes];
    case 'identity':
      return [['provider', `identity (not encrypted), ${encodings[header.encoding]}`], sizes];
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return [['provider', header.provider], ['key', named(header.keyName, header.nameGuessed)], sizes];
    case 'kms':
      if (header.version === 'v1') {
        return [['provider', 'kms v1'], ['name', named(header.name, header.nameGuessed)], sizes];
      }
      return [
        ['provider', 'kms v2'],
        ['name', JSON.stringify(header.name)],
        ['key id', JSON.stringify(header.keyId)],
        ['DEK source', `${dekSources[header.dekSourceType]}, sha256 ${header.dekHash}…`],
        ['annotations', header.annotations.join(', ') || 'none'],
        sizes,
      ];
  }
}

const encodings = {
  protobuf: "Kubernetes' protobuf",
  json: 'JSON',
  cbor: 'CBOR',
  other: 'in no encoding that Kubernetes has',
} as const;

function named(name: string, nameGuessed: boolean): string {
  return `${JSON.stringify(name)}${nameGuessed ? ` (${guessed})` : ''}`;
}

function sizesText({
  value,
  prefix,
  encryptedDekSource,
  annotations,
  encryptedData,
  object,
}: ValueSizes): string {
  const parts = [
    prefix === undefined || prefix === 0 ? undefined : `prefix ${prefix}`,
    encryptedDekSource === undefined ? undefined : `encrypted DEK ${encryptedDekSource}`,
    annotations === undefined || annotations === 0 ? undefined : `annotations ${annotations}`,
    encryptedData === undefined ? undefined : `encrypted data ${encryptedData}`,
    object === undefined || encryptedData === undefined ? undefined : `object ${rangeText(object)}`,
  ].filter((part) => part !== undefined);
  return `${value} bytes${parts.length === 0 ? '' : `: ${parts.join(', ')}`}`;
}

function rangeText({ least, most }: { least: number; most: number }): string {
  return least === most ? String(least) : `${least} to ${most}`;
}
