import { createCipheriv, createHash } from 'node:crypto';

/** Begins every seeded value: whoever finds it outside etcd and the API servers' answers has found a leak. */
export const PLAINTEXT_MARKER = 'keyferry-seed-';

const KIB = 1024;
/** The API server takes 1 MiB of data in one Secret; sealed and wrapped it stays below etcd's 1.5 MiB. */
const LARGE_BYTES = 1_000 * KIB;

export interface SeedObject {
  readonly resource: 'secrets' | 'configmaps';
  readonly namespace: string;
  readonly name: string;
  readonly body: SeedBody;
}

export interface SeedBody {
  readonly apiVersion: 'v1';
  readonly kind: 'Secret' | 'ConfigMap';
  readonly metadata: { name: string; namespace: string; annotations?: Record<string, string> };
  readonly type?: string;
  readonly immutable?: boolean;
  readonly data?: Record<string, string>;
  readonly binaryData?: Record<string, string>;
}

export interface SeedShape {
  readonly seed: number;
  readonly namespaces: readonly string[];
  /** Of the objects of each resource, so many have close to 1 MiB. */
  readonly large: number;
}

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** Object number `index` of a resource: the same for the same seed, whatever else is seeded. */
export function seedObject(resource: SeedObject['resource'], index: number, shape: SeedShape): SeedObject {
  const random = randomFrom(`${shape.seed}/${resource}/${index}`);
  const namespace = shape.namespaces[index % shape.namespaces.length] ?? 'default';
  const name = objectName(index, random);
  const isLarge = index > 0 && index <= shape.large;
  const values = splitContent(isLarge ? LARGE_BYTES - random.below(8 * KIB) : contentSize(random), random);
  const immutable = random.below(50) === 0 ? { immutable: true } : {};
  const metadata = { name, namespace };
  const body: SeedBody =
    resource === 'secrets'
      ? {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata,
          type: random.below(20) === 0 ? 'example.com/custom' : 'Opaque',
          ...immutable,
          data: mapValues(values, (value) => value.toString('base64')),
        }
      : { apiVersion: 'v1', kind: 'ConfigMap', metadata, ...immutable, ...configMapData(values, random) };
  // As kubectl apply leaves it: the annotation repeats the whole object, and may have 256 KiB.
  return !isLarge && random.below(10) === 0
    ? { resource, namespace, name, body: withLastApplied(body) }
    : { resource, namespace, name, body };
}

/**
 * SHA-256 over what a user put into an object, in hex. What the API server adds (uid, managed fields) doesn't count; a
 * rewrite must leave everything else as it was.
 */
export function contentHash(body: {
  metadata?: { annotations?: Record<string, string> };
  type?: string;
  immutable?: boolean;
  data?: Record<string, string>;
  binaryData?: Record<string, string>;
}): string {
  const sorted = (values: Record<string, string> | undefined) =>
    Object.entries(values ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(
      JSON.stringify([
        body.type ?? '',
        body.immutable ?? false,
        sorted(body.data),
        sorted(body.binaryData),
        sorted(body.metadata?.annotations),
      ]),
    )
    .digest('hex');
}

/**
 * Texts to look for in logs, histories and reports: the marker as it is, in hex, in base64 at each of the three
 * alignments, and in base64 of that once more (a Secret's data inside a Temporal payload).
 */
export function leakPatterns(): string[] {
  const once = base64Forms(PLAINTEXT_MARKER);
  return [
    PLAINTEXT_MARKER,
    Buffer.from(PLAINTEXT_MARKER).toString('hex'),
    ...once,
    ...once.flatMap((form) => base64Forms(form)),
  ];
}

/** The part of a text's base64 that doesn't depend on its neighbours, at each alignment. */
function base64Forms(text: string): string[] {
  return [0, 1, 2].map((offset) => {
    const encoded = Buffer.from('\0'.repeat(offset) + text).toString('base64');
    const end = Math.floor(((offset + text.length) * 8) / 6);
    return encoded.slice(Math.ceil((offset * 8) / 6), end);
  });
}

function withLastApplied(body: SeedBody): SeedBody {
  const applied = JSON.stringify({ ...body, metadata: { annotations: {}, ...body.metadata } });
  return { ...body, metadata: { ...body.metadata, annotations: { [LAST_APPLIED]: `${applied}\n` } } };
}

function configMapData(
  values: Record<string, Buffer>,
  random: Random,
): Pick<SeedBody, 'data' | 'binaryData'> {
  if (random.below(5) === 0) return { binaryData: mapValues(values, (value) => value.toString('base64')) };
  // Text must be UTF-8; hex doubles the bytes, so half of them is taken.
  return {
    data: mapValues(values, (value) => PLAINTEXT_MARKER + value.toString('hex', 0, value.length / 2)),
  };
}

/** Mostly about 1 KB, from 100 B to 100 KB. */
function contentSize(random: Random): number {
  const kind = random.below(100);
  if (kind < 10) return 100 + random.below(400);
  if (kind < 94) return 500 + random.below(1_000);
  if (kind < 99) return 1_500 + random.below(8_500);
  return 10 * KIB + random.below(90 * KIB);
}

/** One to three values with odd but legal keys; each begins with the marker, and the rest is bytes that don't compress. */
function splitContent(size: number, random: Random): Record<string, Buffer> {
  const keys = ['value', '.dot-file', 'UPPER_case-1.txt'].slice(0, 1 + random.below(3));
  const share = Math.floor(size / keys.length);
  const values = Object.fromEntries(
    keys.map((key) => [
      key,
      Buffer.concat([Buffer.from(PLAINTEXT_MARKER), random.bytes(Math.max(8, share))]),
    ]),
  );
  return random.below(100) === 0 ? { ...values, empty: Buffer.alloc(0) } : values;
}

/** Names that are legal and yet trip code that splits or sorts them carelessly. */
function objectName(index: number, random: Random): string {
  switch (index % 97) {
    case 1:
      return `${index}`;
    case 2:
      return `seed.${index}.example.com`;
    case 3:
      return `seed-${index}-`.padEnd(253, 'x');
    case 4:
      return `0${index}.0`;
    default:
      return `seed-${index}-${random.bytes(3).toString('hex')}`;
  }
}

interface Random {
  /** An integer from 0, below `limit`. */
  below(limit: number): number;
  bytes(count: number): Buffer;
}

/** AES-CTR as a fast stream of bytes that anyone with the same label gets again. */
function randomFrom(label: string): Random {
  const key = createHash('sha256').update(label).digest();
  const stream = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  const bytes = (count: number) => stream.update(Buffer.alloc(count));
  return { bytes, below: (limit) => bytes(6).readUIntBE(0, 6) % limit };
}

function mapValues<T>(values: Record<string, Buffer>, map: (value: Buffer) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, map(value)]));
}
