// What a census costs by itself: npm run bench:census [-- SECRETS]
//
// An etcd alone, with SECRETS (200,000) values of the size that a Secret of 1 KiB has under aescbc. In turn, five times each: keyferry's
// count of them, and a bare loop that asks for page after page of a thousand values and looks at none. Raw results go to
// bench/results/census.json.
import { countFrom } from '../src/census/count.ts';
import { after, endOfPrefix } from '../src/cluster/etcd.ts';
import { SECRETS } from '../src/cluster/resources.test-helper.ts';
import { compileNames } from '../src/envelope/header.ts';
import { EtcdAlone } from '../test/support/etcd-alone.ts';
import { keepRun } from './support/results.ts';

const PREFIX = SECRETS.etcdPrefix;
const KEY = { type: 'aescbc', keyName: 'key1' } as const;
const VALUE = Buffer.concat([Buffer.from('k8s:enc:aescbc:v1:key1:'), Buffer.alloc(1_376, 7)]);
const NAMESPACES = 10;
const PAGE = 1_000;
const GOES = 5;

async function counted({ client }: EtcdAlone): Promise<number> {
  const { tally } = await countFrom(client, SECRETS, undefined, KEY, compileNames([KEY]), {
    timeMs: 600_000,
    signal: new AbortController().signal,
    onProgress: () => undefined,
  });
  return tally.inTarget;
}

async function paged({ client }: EtcdAlone): Promise<number> {
  let count = 0;
  for (let at: string | undefined = PREFIX; at !== undefined;) {
    const { entries, more } = await client.range({ start: at, end: endOfPrefix(PREFIX), limit: PAGE });
    count += entries.length;
    const last = entries.at(-1);
    at = more && last !== undefined ? after(last.key) : undefined;
  }
  return count;
}

const [secrets = 200_000] = process.argv.slice(2).map(Number);
const etcd = await EtcdAlone.up();
const rates: Record<'census' | 'bare', number[]> = { census: [], bare: [] };
try {
  const keys = Array.from({ length: secrets }, (_, i) => `${PREFIX}bench-${i % NAMESPACES}/secret-${i}`);
  await etcd.put(keys, VALUE);
  for (let go = 0; go < GOES; go += 1) {
    for (const [who, work] of [['census', counted] as const, ['bare', paged] as const]) {
      const begun = performance.now();
      const count = await work(etcd);
      if (count !== secrets) throw new Error(`${who} found ${count} of ${secrets}`);
      rates[who].push(Math.round((secrets * 1000) / (performance.now() - begun)));
    }
  }
} finally {
  await etcd.down();
}
keepRun('census.json', { secrets, valueBytes: VALUE.length, perSecond: rates });
const middle = (all: readonly number[]) => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? NaN;
console.log(`census: ${middle(rates.census)}/s (${rates.census.join(', ')})`);
console.log(`bare pages: ${middle(rates.bare)}/s (${rates.bare.join(', ')})`);
