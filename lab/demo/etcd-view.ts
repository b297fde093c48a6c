import { endOfPrefix, after, EtcdClient } from '../../src/cluster/etcd.ts';
import { KeyferryError } from '../../src/errors.ts';
import { etcdUrls } from '../etcd.ts';
import { type Lab } from '../lab.ts';

const ROW = 16;
const PREFIXES = ['/registry/secrets/', '/registry/configmaps/'];
const PAGE = 2_000;

/** The revision at which each key of the migrated ranges was last written. */
export type Revisions = ReadonlyMap<string, number>;

/** etcd as an intruder would see it: the bytes, past every API server. */
export class EtcdView {
  readonly #etcd: EtcdClient;

  constructor(lab: Lab) {
    this.#etcd = new EtcdClient({ endpoints: etcdUrls(lab.config), prefix: '/registry' });
  }

  /** @throws KeyferryError `NotFoundKey` */
  async bytes(key: string): Promise<Buffer> {
    const entry = await this.#etcd.get(key);
    if (entry !== undefined) return entry.value;
    throw new KeyferryError('NotFoundKey', `etcd has no key ${key}.`, {
      remedy: 'The demo seeded it: run it again.',
    });
  }

  async revisions(): Promise<Revisions> {
    const found = new Map<string, number>();
    for (const prefix of PREFIXES) {
      let start: string | undefined = prefix;
      while (start !== undefined) {
        const page = await this.#etcd.range({ start, end: endOfPrefix(prefix), limit: PAGE, keysOnly: true });
        for (const { key, modRevision } of page.entries) found.set(key, modRevision);
        const last = page.entries.at(-1);
        start = page.more && last !== undefined ? after(last.key) : undefined;
      }
    }
    return found;
  }

  close(): void {
    this.#etcd.close();
  }
}

/** Keys that were written, made or deleted between two looks. */
export function movedKeys(before: Revisions, later: Revisions): string[] {
  const all = new Set([...before.keys(), ...later.keys()]);
  return [...all].filter((key) => before.get(key) !== later.get(key));
}

/** The format that a value at rest names in clear: "k8s:enc:aescbc:v1:key1:"; empty where it names none. */
export function formatOf(value: Buffer): string {
  return /^k8s:enc:[a-z]+:v\d+:[^:]+:/.exec(value.toString('latin1', 0, 256))?.[0] ?? '';
}

/** The first bytes as "hexdump -C" shows them. */
export function hexdump(value: Buffer, bytes: number): string {
  const rows: string[] = [];
  for (let at = 0; at < Math.min(bytes, value.length); at += ROW) {
    const row = value.subarray(at, Math.min(at + ROW, bytes));
    const hex = [...row].map((byte) => byte.toString(16).padStart(2, '0'));
    const halves = `${hex.slice(0, 8).join(' ')}  ${hex.slice(8).join(' ')}`.padEnd(48);
    const text = [...row]
      .map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'))
      .join('');
    rows.push(`${at.toString(16).padStart(8, '0')}  ${halves}  |${text}|`);
  }
  return rows.join('\n');
}
