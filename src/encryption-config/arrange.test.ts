import { describe, expect, it } from '@jest/globals';
import {
  arrange,
  arrangementOf,
  arrangements,
  parseEncryptionConfiguration,
  type ArrangementEdit,
  type ProviderEntry,
} from './index.ts';

const secret = Buffer.alloc(32, 'a').toString('base64');
const otherSecret = Buffer.alloc(32, 'b').toString('base64');

const original = `# Kept by the platform team.
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  # What must not be read.
  - resources:
      - secrets # all of them
      - configmaps
    providers:
      # since 2021
      - aescbc:
          keys:
            - name: key1
              secret: ${secret}
            # before 2021
            - name: key0
              secret: "${otherSecret}"
            # - name: gone
      # what was there before
      - identity: {} # last

  # Too many of them.
  - resources: [events]
    providers: [{identity: {}}]
`;

const vault: ProviderEntry = {
  type: 'kms',
  name: 'vault',
  endpoint: 'unix:///run/vault.sock',
  timeout: '3s',
};
const vaultLines = [
  '      - kms:',
  '          apiVersion: v2',
  '          name: vault',
  '          endpoint: unix:///run/vault.sock',
  '          timeout: 3s',
];
const box: ProviderEntry = { type: 'secretbox', keyName: 'box', secret: otherSecret };
const key1 = { type: 'aescbc', keyName: 'key1' } as const;
const both: ArrangementEdit = { resources: ['secrets', 'configmaps'], source: key1, target: vault };

/** Lines of the original with some taken out (by their content) and some put in (before the line that has a text). */
function expected(changes: { without?: string[]; put?: string[]; before?: string }): string {
  const { without = [], put = [], before = '' } = changes;
  return original
    .split('\n')
    .filter((line) => !without.includes(line.trim()))
    .flatMap((line) => (before !== '' && line.includes(before) ? [...put, line] : [line]))
    .join('\n');
}

const file = (...entries: string[]): string =>
  `apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n${entries.join('')}`;
const entry = (resources: string, ...providers: string[]): string =>
  `- resources: [${resources}]\n  providers:\n${providers.map((provider) => `  - ${provider}\n`).join('')}`;
const local = (type: string, ...names: string[]): string =>
  `${type}: {keys: [${names.map((name) => `{name: ${name}, secret: ${secret}}`).join(', ')}]}`;
const kms = (name: string, endpoint = `unix:///run/${name}.sock`): string =>
  `kms: {apiVersion: v2, name: ${name}, endpoint: "${endpoint}", timeout: 3s}`;
const identity = 'identity: {}';

describe('an entry of migrated resources alone', () => {
  it('stays as it is, byte for byte, while the source stands alone', () => {
    expect(arrange(original, { ...both, arrangement: 'source-only' })).toBe(original);
  });
  it('gets the target right after the source, to read', () => {
    const text = arrange(original, { ...both, arrangement: 'target-reads' });
    expect(text).toBe(expected({ put: vaultLines, before: '# what was there before' }));
  });
  it('gets the target first, to write', () => {
    const text = arrange(original, { ...both, arrangement: 'target-writes' });
    expect(text).toBe(expected({ put: vaultLines, before: '# since 2021' }));
  });
  it('loses only the key of the source, and keeps other keys', () => {
    const text = arrange(original, { ...both, arrangement: 'target-only' });
    const without = ['- name: key1', `secret: ${secret}`];
    expect(text).toBe(expected({ without, put: vaultLines, before: '# since 2021' }));
  });
  it('loses the provider of the source with its last key', () => {
    const text = arrange(file(entry('secrets', local('aescbc', 'key1'), identity)), {
      resources: ['secrets'],
      source: key1,
      target: { type: 'identity' },
      arrangement: 'target-only',
    });
    expect(text).toBe(file(entry('secrets', identity)));
  });
  it('has a trailing identity moved to the front, with its comment', () => {
    const text = arrange(original, { ...both, target: { type: 'identity' }, arrangement: 'target-writes' });
    const [comment, line] = ['      # what was there before', '      - identity: {} # last'];
    const without = [comment.trim(), line.trim()];
    expect(text).toBe(expected({ without, put: [comment, line], before: '# since 2021' }));
  });
  it('isn’t touched when the target reads already', () => {
    const edit = { ...both, target: { type: 'identity' } as const };
    expect(arrange(original, { ...edit, arrangement: 'target-reads' })).toBe(original);
  });
  it('is edited in JSON', () => {
    const json = JSON.stringify({
      apiVersion: 'apiserver.config.k8s.io/v1',
      kind: 'EncryptionConfiguration',
      resources: [{ resources: ['secrets'], providers: [{ identity: {} }] }],
    });
    const edit = { resources: ['secrets'], source: { type: 'identity' }, target: vault } as const;
    const added =
      '{"kms":{"apiVersion":"v2","name":"vault","endpoint":"unix:///run/vault.sock","timeout":"3s"}}';
    expect(arrange(json, { ...edit, arrangement: 'target-writes' })).toBe(
      json.replace('{"identity"', `${added}, {"identity"`),
    );
    expect(arrange(json, { ...edit, arrangement: 'target-only' })).toBe(
      json.replace('{"identity":{}}', added),
    );
  });
  it('keeps carriage returns, and the missing end of the last line', () => {
    const dos = file(entry('secrets', identity)).replaceAll('\n', '\r\n').trimEnd();
    const edit = { resources: ['secrets'], source: { type: 'identity' }, target: vault } as const;
    const text = arrange(dos, { ...edit, arrangement: 'target-reads' });
    expect(text.startsWith(`${dos}\r\n  - kms:\r\n`)).toBe(true);
    expect(text.endsWith('timeout: 3s')).toBe(true);
  });
});

describe('an entry that other resources share', () => {
  it('is split: they keep the original with its comments, the migrated ones get a copy', () => {
    const text = file(`# theirs\n${entry('pods, secrets', local('aescbc', 'key1'), identity)}`);
    const result = arrange(text, {
      resources: ['secrets'],
      source: key1,
      target: vault,
      arrangement: 'target-reads',
    });
    const added = vaultLines.map((line) => `${line.slice(4)}\n`).join('');
    const copy = entry('secrets', local('aescbc', 'key1'), identity).replace(
      '  - identity',
      `${added}  - identity`,
    );
    expect(result).toBe(file(`# theirs\n${entry('pods', local('aescbc', 'key1'), identity)}`, copy));
  });
  it('can’t be split when it holds a kms provider', () => {
    const text = file(entry('secrets, pods', kms('old'), identity));
    const edit = { resources: ['secrets'], source: { type: 'kms', name: 'old' }, target: box } as const;
    for (const arrangement of ['target-reads', 'target-writes', 'target-only'] as const) {
      expect(() => arrange(text, { ...edit, arrangement })).toThrow(
        expect.objectContaining({
          code: 'EncryptionConfigurationSharedKms',
          remedy: expect.stringContaining('add pods'),
        }),
      );
    }
  });
});

describe('several entries that are to get one kms provider', () => {
  const entries = [
    entry('secrets', local('aescbc', 'key1'), identity),
    entry('configmaps', local('aescbc', 'key1')),
  ];
  const text = file(...entries);
  const apart =
    '- resources:\n    - secrets\n    - configmaps\n  providers:\n' +
    vaultLines.map((line) => `${line.slice(2)}\n`).join('');
  it('get it in an entry of its own: after them to read, before them to write', () => {
    expect(arrange(text, { ...both, arrangement: 'target-reads' })).toBe(file(...entries, apart));
    expect(arrange(text, { ...both, arrangement: 'target-writes' })).toBe(file(apart, ...entries));
  });
  it('go when nothing is left in them', () => {
    const rest = entry('secrets', identity);
    expect(arrange(text, { ...both, arrangement: 'target-only' })).toBe(file(apart, rest));
  });
  it('keep a resource that no entry names on identity until the target writes', () => {
    const edit = { resources: ['secrets', 'pods'], source: { type: 'identity' }, target: vault } as const;
    const listed = entry('secrets', identity);
    const pods = '- resources:\n    - pods\n  providers:\n    - identity: {}\n';
    const pair = apart.replace('configmaps', 'pods');
    expect(arrange(file(listed), { ...edit, arrangement: 'target-reads' })).toBe(file(listed, pods, pair));
    expect(arrange(file(listed), { ...edit, arrangement: 'target-writes' })).toBe(file(pair, listed, pods));
    expect(arrange(file(listed), { ...edit, arrangement: 'target-only' })).toBe(file(pair));
  });
});

it('a resource that no entry names gets one, with identity as the source', () => {
  const text = file(entry('events', identity));
  const edit = { resources: ['secrets'], source: { type: 'identity' }, target: vault } as const;
  const added = '- resources:\n    - secrets\n  providers:\n    - identity: {}\n';
  const result = arrange(text, { ...edit, arrangement: 'target-reads' });
  expect(result).toBe(text + added + vaultLines.map((line) => `${line.slice(2)}\n`).join(''));
});

describe('an edit is refused', () => {
  const refused = (text: string, edit: Partial<ArrangementEdit>, code: string, message: string): void =>
    expect(() =>
      arrange(text, { ...both, resources: ['secrets'], ...edit, arrangement: 'target-reads' }),
    ).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));

  it.each([
    [
      'when the original is not valid',
      file(entry('Secrets', identity)),
      {},
      'EncryptionConfigurationInvalid',
      'capital letters',
    ],
    [
      'when it names no resource',
      original,
      { resources: [] },
      'EncryptionConfigurationNoResources',
      'names no resource',
    ],
    [
      'when only a wildcard covers the resource',
      file(entry('"*."', local('aescbc', 'key1'))),
      {},
      'EncryptionConfigurationWildcard',
      'covered by the wildcard "*."',
    ],
    [
      'when the resource is a wildcard',
      original,
      { resources: ['*.apps'] },
      'EncryptionConfigurationWildcard',
      'is a wildcard',
    ],
    [
      'when the source is not there',
      original,
      { source: { type: 'kms', name: 'x' } as const },
      'EncryptionConfigurationSourceMissing',
      'it is written with aescbc key "key1"',
    ],
    [
      'when the source only reads',
      original,
      { source: { type: 'aescbc', keyName: 'key0' } as const },
      'EncryptionConfigurationNotWriter',
      'written with aescbc key "key1", not with aescbc key "key0"',
    ],
    [
      'when the source does not write one of the resources',
      original,
      { resources: ['secrets', 'events'] },
      'EncryptionConfigurationSourceMissing',
      '"events" has no provider aescbc key "key1"',
    ],
    [
      'when source and target are the same',
      original,
      { target: { type: 'aescbc', keyName: 'key1', secret } as const },
      'EncryptionConfigurationSameProvider',
      'are the same provider',
    ],
    [
      'when the target’s name has other material',
      original,
      { target: { type: 'aescbc', keyName: 'key0', secret } as const },
      'EncryptionConfigurationPrefixInUse',
      'another key of this name',
    ],
    [
      'when the target’s name begins like that of another key',
      file(entry('secrets', local('aescbc', 'key1', '"a:b"'))),
      { target: { type: 'aescbc', keyName: 'a', secret: otherSecret } as const },
      'EncryptionConfigurationPrefixInUse',
      'how the other begins',
    ],
    [
      'when the target’s kms name has another endpoint elsewhere',
      file(entry('secrets', local('aescbc', 'key1')), entry('pods', kms('vault', 'unix:///other'))),
      {},
      'EncryptionConfigurationPrefixInUse',
      'resources[1].providers[0] has this name with another endpoint',
    ],
    [
      'when the target’s kms provider serves other resources already',
      file(entry('secrets', local('aescbc', 'key1')), entry('pods', kms('vault'))),
      {},
      'EncryptionConfigurationSharedKms',
      'pods also belongs to',
    ],
    [
      'when the target is not valid',
      original,
      { resources: both.resources, target: { ...vault, endpoint: 'https://vault' } as const },
      'EncryptionConfigurationTargetInvalid',
      'unix sockets alone',
    ],
    [
      'when one text stands for several places',
      file(
        '- resources: [secrets]\n  providers: &p [{identity: {}}]\n',
        '- resources: [pods]\n  providers: *p\n',
      ),
      {},
      'EncryptionConfigurationNotEditable',
      'cannot edit',
    ],
  ])('%s', (_, text, edit, code, message) => refused(text, edit, code, message));
});

describe('kms providers side by side', () => {
  const edit = {
    resources: ['secrets'],
    source: { type: 'kms', name: 'old' },
    target: vault,
    arrangement: 'target-reads',
  } as const;
  const plugins = (text: string): string[] =>
    parseEncryptionConfiguration(text).entries.flatMap(({ providers }) =>
      providers.flatMap((provider) => (provider.type === 'kms' ? [provider.name] : [])),
    );

  it('are two: the source’s and the target’s', () => {
    expect(plugins(arrange(file(entry('secrets', kms('old'), identity)), edit))).toEqual(['old', 'vault']);
  });
  it('are not three, one of which only reads: refused with the reason, and two ways out', () => {
    expect(() => arrange(file(entry('secrets', kms('old'), kms('older'), identity)), edit)).toThrow(
      expect.objectContaining({
        code: 'EncryptionConfigurationThirdKms',
        message:
          '"secrets" has the kms providers "old" and "older" already: with "vault" every API server would depend on 3 plugins at once, and a migration runs two side by side.',
        remedy:
          'Take "older" out of the file once a census finds nothing under that name, or migrate to "older" first.',
      }),
    );
  });
  it('are not three where several entries add up, nor where a key in the file is the source', () => {
    const text = file(
      entry('secrets', local('aescbc', 'key1')),
      entry('secrets', kms('old')),
      entry('secrets', kms('older')),
    );
    expect(() => arrange(text, { ...edit, source: key1 })).toThrow(/would depend on 3 plugins/);
  });
  it('may not be reduced by a migration to kms v1, which only reads', () => {
    const v1 = 'kms: {apiVersion: v1, name: older, endpoint: "unix:///run/older.sock"}';
    expect(() => arrange(file(entry('secrets', kms('old'), v1)), edit)).toThrow(
      expect.objectContaining({
        remedy: 'Take "older" out of the file once a census finds nothing under that name.',
      }),
    );
  });
  it('may be reduced, by a migration to one that reads already', () => {
    const text = file(entry('secrets', kms('old'), kms('older'), kms('vault'), identity));
    expect(arrange(text, { ...edit, arrangement: 'target-only' })).toBe(
      file(entry('secrets', kms('vault'), kms('older'), identity)),
    );
  });
  it('don’t count those of other resources, nor those left behind for a key in the file', () => {
    const elsewhere = file(
      entry('secrets', kms('old'), identity),
      entry('pods', kms('theirs'), identity),
      entry('events', kms('other'), identity),
    );
    expect(plugins(arrange(elsewhere, edit))).toEqual(['old', 'vault', 'theirs', 'other']);
    const leaving = file(entry('secrets', kms('old'), kms('older'), identity));
    expect(arrange(leaving, { ...edit, target: box })).toContain('secretbox');
  });
});

describe('the arrangement of a text', () => {
  it.each(arrangements)('is known: %s', (arrangement) => {
    expect(arrangementOf(arrange(original, { ...both, arrangement }), original, both)).toBe(arrangement);
  });
  it('is undefined for any other text', () => {
    expect(arrangementOf(`${original}# by hand\n`, original, both)).toBeUndefined();
  });
  it('is the first one where two are the same', () => {
    expect(arrangementOf(original, original, { ...both, target: { type: 'identity' } })).toBe('source-only');
  });
});
