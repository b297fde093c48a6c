import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { KeyferryError } from '../errors.ts';
import {
  arrange,
  arrangementOf,
  arrangements,
  diffArrangements,
  parseEncryptionConfiguration,
  providersFor,
  redactEncryptionConfiguration,
  sameProvider,
  validateEncryptionConfiguration,
  writerOf,
  type ArrangementEdit,
  type ProviderEntry,
  type ProviderRef,
  type ProviderSummary,
} from './index.ts';

const localTypes = ['aescbc', 'aesgcm', 'secretbox'] as const;
const resources = ['secrets', 'configmaps', 'pods', 'events', 'widgets.example.com', 'deployments.apps'];
const keyNames = ['key1', 'key2', 'key3'];

/** Of a name there is one material, so that a target may be in the file already. */
const secretOf = (name: string): string =>
  createHash('sha256').update(`material of ${name}`).digest('base64');
const allSecrets = [...keyNames, 'fresh'].map(secretOf);

type Provider =
  | { type: 'identity' }
  | { type: (typeof localTypes)[number]; keys: string[] }
  | { type: 'kms'; name: string };
interface Entry {
  resources: string[];
  providers: Provider[];
}
type Style = 'indented' | 'flat' | 'one-line' | 'json';

const provider: fc.Arbitrary<Provider> = fc.oneof(
  fc.constant<Provider>({ type: 'identity' }),
  fc.record({ type: fc.constantFrom(...localTypes), keys: fc.subarray(keyNames, { minLength: 1 }) }),
  fc.record({ type: fc.constant('kms' as const), name: fc.constantFrom('old', 'vault', 'cloud') }),
);
const entry: fc.Arbitrary<Entry> = fc.record({
  resources: fc.shuffledSubarray(resources, { minLength: 1, maxLength: 3 }),
  providers: fc.array(provider, { minLength: 1, maxLength: 4 }),
});

/** Entries as a valid file may have them: a kms name stands once, a wildcard at the end. */
const entries = fc
  .tuple(fc.array(entry, { minLength: 1, maxLength: 4 }), fc.constantFrom('', '*.batch', '*.*'))
  .map(([list, wildcard]) => {
    const names = new Set<string>();
    const valid = list.map(({ providers, ...rest }) => {
      const kept = providers.filter(
        (each) => each.type !== 'kms' || (!names.has(each.name) && names.add(each.name)),
      );
      return { ...rest, providers: kept.length > 0 ? kept : [{ type: 'identity' } as const] };
    });
    return wildcard === ''
      ? valid
      : [...valid, { resources: [wildcard], providers: [{ type: 'identity' } as const] }];
  });

const valueOf = (each: Provider): object => {
  if (each.type === 'identity') return { identity: {} };
  if (each.type === 'kms')
    return { kms: { apiVersion: 'v2', name: each.name, endpoint: `unix:///run/${each.name}.sock` } };
  return { [each.type]: { keys: each.keys.map((name) => ({ name, secret: secretOf(name) })) } };
};

function write(list: Entry[], style: Style, comments: boolean): string {
  const head = { apiVersion: 'apiserver.config.k8s.io/v1', kind: 'EncryptionConfiguration' };
  const values = list.map((each) => ({ resources: each.resources, providers: each.providers.map(valueOf) }));
  if (style === 'json') return `${JSON.stringify({ ...head, resources: values }, null, 2)}\n`;
  const note = (indent: string, text: string): string[] => (comments ? [`${indent}# ${text}`] : []);
  const pad = style === 'indented' ? '  ' : '';
  const lines = [`apiVersion: ${head.apiVersion}`, `kind: ${head.kind}`, 'resources:'];
  values.forEach((value, i) => {
    lines.push(...note(pad, `entry ${i}`), `${pad}- resources: ${JSON.stringify(value.resources)}`);
    if (style === 'one-line') {
      lines.push(`${pad}  providers: [${value.providers.map((each) => JSON.stringify(each)).join(', ')}]`);
      return;
    }
    lines.push(`${pad}  providers:`);
    list[i]?.providers.forEach((each, j) => {
      lines.push(...note(`${pad}  ${pad}`, `provider ${i}.${j}`));
      const at = `${pad}  ${pad}`;
      if (each.type === 'identity') lines.push(`${at}- identity: {}`);
      else if (each.type === 'kms') {
        lines.push(
          `${at}- kms:`,
          `${at}    apiVersion: v2`,
          `${at}    name: ${each.name}`,
          `${at}    endpoint: unix:///run/${each.name}.sock`,
        );
      } else {
        lines.push(`${at}- ${each.type}:`, `${at}    keys:`);
        for (const name of each.keys) {
          lines.push(
            ...note(`${at}    ${pad}`, `key ${i}.${j}.${name}`),
            `${at}    ${pad}- name: ${name}`,
            `${at}    ${pad}  secret: ${secretOf(name)}`,
          );
        }
        lines.push(...note(`${at}    ${pad}  `, `after the keys of ${i}.${j}`));
      }
    });
    if (comments) lines.push('');
  });
  return `${lines.join('\n')}\n`;
}

const file = fc
  .record({
    list: entries,
    style: fc.constantFrom<Style>('indented', 'flat', 'one-line', 'json'),
    comments: fc.boolean(),
  })
  .map(({ list, style, comments }) => write(list, style, comments));

const target: fc.Arbitrary<ProviderEntry> = fc.oneof(
  fc.constant<ProviderEntry>({ type: 'identity' }),
  fc
    .constantFrom('fresh', ...keyNames)
    .chain((keyName) =>
      fc
        .constantFrom(...localTypes)
        .map((type): ProviderEntry => ({ type, keyName, secret: secretOf(keyName) })),
    ),
  fc.constantFrom('new', 'vault').map((name): ProviderEntry => ({
    type: 'kms',
    name,
    endpoint: `unix:///run/${name}.sock`,
    timeout: '3s',
  })),
);

/** A migration that could be asked for: resources with one writer, and often all of an entry. */
const migration = fc
  .record({
    text: file,
    target,
    wanted: fc.shuffledSubarray(resources, { minLength: 1 }),
    generous: fc.boolean(),
  })
  .map(({ text, target, wanted, generous }): { text: string; edit: ArrangementEdit } => {
    const config = parseEncryptionConfiguration(text);
    const source = writerOf(config, wanted[0] ?? 'secrets');
    const same = resources.filter((resource) => sameProvider(writerOf(config, resource), source));
    return {
      text,
      edit: { resources: generous ? same : same.filter((each) => wanted.includes(each)), source, target },
    };
  });

/** What a chain reads by, one ref for each key. */
const refsOf = (chain: ProviderSummary[]): ProviderRef[] =>
  chain.flatMap((each): ProviderRef[] => {
    if (each.type === 'identity') return [each];
    if (each.type === 'kms') return [{ type: 'kms', name: each.name }];
    return each.keyNames.map((keyName) => ({ type: each.type, keyName }));
  });
const holds = (refs: ProviderRef[], ref: ProviderRef): boolean =>
  refs.some((each) => sameProvider(each, ref));
const refOf = (each: ProviderEntry): ProviderRef => {
  if (each.type === 'identity') return each;
  return each.type === 'kms' ? { type: 'kms', name: each.name } : { type: each.type, keyName: each.keyName };
};

/** All arrangements of a migration, or the code with which it was refused. */
function arrangeAll({ text, edit }: { text: string; edit: ArrangementEdit }): Map<string, string> | string {
  try {
    return new Map(arrangements.map((arrangement) => [arrangement, arrange(text, { ...edit, arrangement })]));
  } catch (error) {
    if (error instanceof KeyferryError) return error.code;
    throw error;
  }
}

const runs = { numRuns: Number(process.env['RUNS'] ?? 300) };

describe('any configuration', () => {
  it('is read as valid, and is shown without its keys', () => {
    fc.assert(
      fc.property(file, (text) => {
        expect(validateEncryptionConfiguration(text)).toEqual([]);
        const shown = redactEncryptionConfiguration(text);
        for (const secret of allSecrets) expect(shown).not.toContain(secret);
        expect(parseShape(shown)).toEqual(parseShape(text));
      }),
      { numRuns: 300 },
    );
  });

  it('gives no key away, however it is damaged', () => {
    const damage = fc.record({
      at: fc.nat(),
      length: fc.integer({ min: 0, max: 12 }),
      put: fc.constantFrom('', '"', '\n', ' ', ':', '- ', '{', '}', '#', '\t', '|', '*', '&'),
    });
    fc.assert(
      fc.property(file, fc.array(damage, { minLength: 1, maxLength: 3 }), (text, damages) => {
        let broken = text;
        for (const { at, length, put } of damages) {
          const from = at % (broken.length + 1);
          broken = broken.slice(0, from) + put + broken.slice(from + length);
        }
        const told =
          redactEncryptionConfiguration(broken) + JSON.stringify(validateEncryptionConfiguration(broken));
        for (const secret of allSecrets) {
          for (const at of [0, 12, 24]) expect(told).not.toContain(secret.slice(at, at + 20));
        }
      }),
      runs,
    );
  });
});

describe('any migration', () => {
  it('moves the writing of its resources, loses nothing before the end, and leaves all others alone', () => {
    let arranged = 0;
    fc.assert(
      fc.property(migration, ({ text, edit }) => {
        const all = arrangeAll({ text, edit });
        if (typeof all === 'string') {
          expect(all).not.toBe('EncryptionConfigurationNotEditable');
          return;
        }
        arranged++;
        const before = parseEncryptionConfiguration(text);
        const goal = refOf(edit.target);
        expect(all.get('source-only')).toBe(text);
        for (const [arrangement, result] of all) {
          const after = parseEncryptionConfiguration(result);
          for (const resource of [...resources, 'jobs.batch', 'roles.rbac.authorization.k8s.io']) {
            const chain = refsOf(providersFor(after, resource));
            const old = refsOf(providersFor(before, resource));
            if (!edit.resources.includes(resource)) {
              expect(providersFor(after, resource)).toEqual(providersFor(before, resource));
              continue;
            }
            const writer =
              arrangement === 'target-writes' || arrangement === 'target-only' ? goal : edit.source;
            expect(writerOf(after, resource)).toEqual(writer);
            if (arrangement !== 'source-only') expect(holds(chain, goal)).toBe(true);
            expect(holds(chain, edit.source)).toBe(arrangement !== 'target-only');
            for (const ref of old) if (!sameProvider(ref, edit.source)) expect(holds(chain, ref)).toBe(true);
          }
        }
      }),
      runs,
    );
    // Otherwise the property would hold for want of cases.
    expect(arranged).toBeGreaterThan(runs.numRuns / 4);
  });

  it('is recognized in each arrangement, and computed again to the same byte', () => {
    fc.assert(
      fc.property(migration, ({ text, edit }) => {
        const all = arrangeAll({ text, edit });
        if (typeof all === 'string') return;
        for (const [arrangement, result] of all) {
          const found = arrangementOf(result, text, edit);
          // Two arrangements may be one text, when the target could be read from the beginning.
          expect(all.get(found ?? '')).toBe(result);
          if (new Set(all.values()).size === all.size) expect(found).toBe(arrangement);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('changes no line that it need not: to read, lines are only added', () => {
    fc.assert(
      fc.property(migration, ({ text, edit }) => {
        const all = arrangeAll({ text, edit });
        if (
          typeof all === 'string' ||
          text.includes('[{') ||
          text.startsWith('{') ||
          edit.target.type === 'kms'
        )
          return;
        const config = parseEncryptionConfiguration(text);
        // A split entry loses the names of the resources that moved.
        const shared = config.entries.some(
          ({ resources: names }) =>
            names.some((name) => edit.resources.includes(name)) &&
            !names.every((name) => edit.resources.includes(name)),
        );
        if (shared) return;
        const result = (all.get('target-reads') ?? '').split('\n');
        let at = 0;
        for (const line of text.split('\n')) {
          at = result.indexOf(line, at) + 1;
          expect(at).toBeGreaterThan(0);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('shows no key in its diffs or refusals', () => {
    fc.assert(
      fc.property(migration, ({ text, edit }) => {
        let told = '';
        for (const arrangement of arrangements) {
          try {
            told += diffArrangements(text, arrange(text, { ...edit, arrangement }));
          } catch (error) {
            told += error instanceof KeyferryError ? `${error.message} ${error.remedy}` : '';
          }
        }
        for (const secret of allSecrets) expect(told).not.toContain(secret);
      }),
      { numRuns: 200 },
    );
  });
});

/** A redacted file is no longer valid, but its entries and names are to be the same. */
function parseShape(text: string): string {
  return text.replace(/secret("?): *"?[^"\n}]+"?/g, 'secret$1: x');
}
