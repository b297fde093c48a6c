import { describe, expect, it } from '@jest/globals';
import {
  parseEncryptionConfiguration,
  validateEncryptionConfiguration,
  type ValidationOptions,
} from './index.ts';

const key16 = Buffer.alloc(16, 'a').toString('base64');
const key24 = Buffer.alloc(24, 'b').toString('base64');
const key32 = Buffer.alloc(32, 'c').toString('base64');

const head = 'apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n';
const entry = (resources: string, providers = '[{identity: {}}]'): string =>
  `- resources: ${resources}\n  providers: ${providers}\n`;
const file = (...entries: string[]): string => `${head}resources:\n${entries.join('')}`;
const kms = (fields: string): string => file(entry('[secrets]', `[{kms: {${fields}}}]`));
const local = (type: string, secret: string): string =>
  file(entry('[secrets]', `[{${type}: {keys: [{name: key1, secret: ${secret}}]}}]`));

const key = (name: string): string => `{name: "${name}", secret: ${key32}}`;
const kmsProvider = (version: string): string =>
  `[{kms: {apiVersion: ${version}, name: a, endpoint: "unix:///a"}}]`;

/** Problems as `path: message`, errors and warnings apart. */
function judge(text: string, options: ValidationOptions = {}): { errors: string[]; warnings: string[] } {
  const problems = validateEncryptionConfiguration(text, options);
  const of = (severity: string): string[] =>
    problems
      .filter((problem) => problem.severity === severity)
      .map(({ path, message }) => `${path}: ${message}`);
  return { errors: of('error'), warnings: of('warning') };
}

describe('a file that kube-apiserver takes', () => {
  it.each([
    ['one entry with identity', file(entry('[secrets]'))],
    [
      'wildcards after what they cover',
      file(entry('[secrets]'), entry('["*."]'), entry('["*.apps"]'), entry('["*.*"]')),
    ],
    ['a wildcard beside a resource of another group', file(entry('["*.apps", secrets]'))],
    ['a resource in two entries', file(entry('[secrets]'), entry('[secrets, pods]'))],
    ['AES keys of 16 bytes', local('aescbc', key16)],
    ['AES keys of 24 bytes', local('aesgcm', key24)],
    ['AES keys of 32 bytes', local('aescbc', key32)],
    ['a secretbox key', local('secretbox', key32)],
    ['a line break in base64', local('aescbc', `"${key16}\\n"`)],
    ['kms v2', kms('apiVersion: v2, name: vault, endpoint: "unix:///run/vault.sock"')],
    [
      'kms v2 with a timeout',
      kms('apiVersion: v2, name: vault, endpoint: "unix:///v.sock", timeout: 1m0.5s'),
    ],
    ['an abstract socket', kms('apiVersion: v2, name: vault, endpoint: "unix:///@vault"')],
    ['the older kind', `apiVersion: v1\nkind: EncryptionConfig\nresources:\n${entry('[secrets]')}`],
    ['a date as a name, which Go reads as a text', file(entry('[2020-01-01]'))],
    ['a resource tagged as binary, which is its base64', file(entry('[!!binary c2VjcmV0cw==]'))],
    [
      'a wildcard of a group after one of its resources',
      file(entry('[deployments.apps]'), entry('["*.apps"]')),
    ],
    ['everything but the core group, in one list', file(entry('["*.apps", "*.batch", "*.example.com"]'))],
    ['one kms source for several resources', file(entry('[secrets, configmaps]', kmsProvider('v2')))],
    [
      'several keys in one provider',
      file(entry('[secrets]', `[{aescbc: {keys: [${key('a')}, ${key('b')}]}}]`)),
    ],
    [
      'a provider twice',
      file(entry('[secrets]', `[{aescbc: {keys: [${key('b')}]}}, {aescbc: {keys: [${key('a')}]}}]`)),
    ],
    ['names of local keys with a colon', file(entry('[secrets]', `[{secretbox: {keys: [${key('a:b')}]}}]`))],
    ['identity first', file(entry('[secrets]', `[{identity: {}}, {aesgcm: {keys: [${key('a')}]}}]`))],
    ['carriage returns', file(entry('[secrets]')).replaceAll('\n', '\r\n')],
    [
      'aliases',
      file(
        '- resources: [pods]\n  providers: &p [{identity: {}}]\n',
        '- resources: [secrets]\n  providers: *p\n',
      ),
    ],
  ])('%s', (_, text) => expect(judge(text)).toEqual({ errors: [], warnings: [] }));

  it('JSON with tabs', () => {
    const json = { apiVersion: 'apiserver.config.k8s.io/v1', kind: 'EncryptionConfiguration' };
    const resources = [{ resources: ['secrets'], providers: [{ identity: {} }] }];
    expect(judge(JSON.stringify({ ...json, resources }, null, '\t'))).toEqual({ errors: [], warnings: [] });
  });

  it('kms v1, where the servers have the gate', () => {
    expect(judge(kms('name: "a:b", endpoint: "unix:///a", cachesize: -1'), { kmsV1: true }).errors).toEqual(
      [],
    );
  });
});

describe('a file that kube-apiserver refuses', () => {
  it.each([
    ['nothing in it', '', ': the file is empty'],
    [
      'another kind',
      file(entry('[secrets]')).replace('kind: E', 'kind: Not E'),
      'kind: kind tells of another kind of file',
    ],
    [
      'no kind',
      file(entry('[secrets]')).replace(/kind:.*\n/, ''),
      'kind: kind is missing: kube-apiserver takes',
    ],
    ['no resources', head, 'resources: the configuration has no resources'],
    [
      'an entry that names no resource',
      file(entry('[]')),
      'resources[0].resources: this entry names no resource',
    ],
    [
      'an entry without providers',
      file(entry('[secrets]', '[]')),
      'resources[0].providers: this entry has no provider',
    ],
    ['an unknown field', file(entry('[secrets]')) + 'metadata: {}\n', 'metadata: unknown field "metadata"'],
    [
      'a field in other case',
      file(entry('[secrets]')).replace('providers', 'Providers'),
      'resources[0].Providers: unknown',
    ],
    [
      'a field twice',
      file(entry('[secrets]')) + 'kind: x\n',
      ': not valid YAML: the same field stands twice',
    ],
    [
      'a boolean for a name',
      file(entry('[yes]')),
      'resources[0].resources[0]: wrong type: this has to be a text',
    ],
    [
      'a list that is a text',
      file(entry('secrets')),
      'resources[0].resources: wrong type: this has to be a list',
    ],
    [
      'capital letters',
      file(entry('[Secrets]')),
      'resources[0].resources[0]: "Secrets" holds capital letters',
    ],
    ['a lone star', file(entry('["*"]')), 'resources[0].resources[0]: "*" alone is not a wildcard'],
    [
      'what has no API',
      file(entry('[serviceipallocations]')),
      'resources[0].resources[0]: "serviceipallocations" has no REST',
    ],
    [
      'events.k8s.io',
      file(entry('[events.events.k8s.io]')),
      'resources[0].resources[0]: events of the group events.k8s.io',
    ],
    [
      'extensions',
      file(entry('[ingresses.extensions]')),
      'resources[0].resources[0]: the group "extensions" is no longer',
    ],
    [
      'one name in every group',
      file(entry('[deployments.*]')),
      'resources[0].resources[0]: "deployments.*" means one',
    ],
    [
      'a resource twice in a list',
      file(entry('[secrets, secrets.]')),
      'resources[0].resources[1]: "secrets." stands twice',
    ],
    [
      'an overlap in a list',
      file(entry('[secrets, "*."]')),
      'resources[0].resources[0]: "secrets" and "*." overlap',
    ],
    [
      'everything and more in a list',
      file(entry('["*.*", pods]')),
      'resources[0].resources[1]: "pods" and "*.*" overlap',
    ],
    [
      'a resource after its wildcard',
      file(entry('["*."]'), entry('[pods]')),
      'resources[1].resources[0]: "pods" is masked by "*."',
    ],
    [
      'a wildcard twice',
      file(entry('["*.*"]'), entry('["*.*"]')),
      'resources[1].resources[0]: "*.*" is masked by "*.*"',
    ],
    [
      'identity without braces',
      file(entry('[secrets]', '[{identity: }]')),
      'resources[0].providers[0]: this element holds no',
    ],
    [
      'two providers in one element',
      file(entry('[secrets]', '[{identity: {}, kms: {}}]')),
      'resources[0].providers[0]: this element holds more',
    ],
    [
      'a short AES key',
      local('aescbc', '"YQ=="'),
      'resources[0].providers[0].aescbc.keys[0].secret: the secret is 1 bytes long, and aescbc takes 16, 24 or 32',
    ],
    [
      'a short secretbox key',
      local('secretbox', key16),
      'resources[0].providers[0].secretbox.keys[0].secret: the secret is 16 bytes long, and secretbox takes 32',
    ],
    [
      'a secret that is no base64',
      local('aesgcm', '"a-_b"'),
      'resources[0].providers[0].aesgcm.keys[0].secret: the secret is not base64',
    ],
    [
      'kms v1',
      kms('name: a, endpoint: "unix:///a"'),
      'resources[0].providers[0].kms.apiVersion: without an apiVersion this is kms v1, which is refused unless kube-apiserver runs with the feature gate KMSv1',
    ],
    [
      'kms v3',
      kms('apiVersion: v3, name: a, endpoint: "unix:///a"'),
      'resources[0].providers[0].kms.apiVersion: kms apiVersion "v3" is not known',
    ],
    [
      'a colon in a kms name',
      kms('apiVersion: v2, name: "a:b", endpoint: "unix:///a"'),
      'resources[0].providers[0].kms.name: the kms name "a:b" holds a ":"',
    ],
    [
      'a network endpoint',
      kms('apiVersion: v2, name: a, endpoint: "https://a"'),
      'resources[0].providers[0].kms.endpoint: the endpoint has the scheme "https"',
    ],
    [
      'no endpoint',
      kms('apiVersion: v2, name: a'),
      'resources[0].providers[0].kms.endpoint: this kms provider has no endpoint',
    ],
    [
      'a timeout of nothing',
      kms('apiVersion: v2, name: a, endpoint: "unix:///a", timeout: 0s'),
      'resources[0].providers[0].kms.timeout: the timeout has to be longer',
    ],
    [
      'a timeout without unit',
      kms('apiVersion: v2, name: a, endpoint: "unix:///a", timeout: "3"'),
      'resources[0].providers[0].kms.timeout: the timeout "3" is not',
    ],
    [
      'cachesize with v2',
      kms('apiVersion: v2, name: a, endpoint: "unix:///a", cachesize: 9'),
      'resources[0].providers[0].kms.cachesize: cachesize belongs to kms v1',
    ],
    [
      'an alias without an anchor',
      file(entry('[*.apps]')),
      ': not valid YAML: what begins with * is an alias',
    ],
    ['what is tagged as binary, and is not', file(entry('[!!binary "?"]')), ': not valid YAML'],
    [
      'a resource after everything',
      file(entry('["*.*"]'), entry('[secrets]')),
      'resources[1].resources[0]: "secrets" is masked by "*.*"',
    ],
    [
      'a wildcard after everything',
      file(entry('["*.*"]'), entry('["*.apps"]')),
      'resources[1].resources[0]: "*.apps" is masked by "*.*"',
    ],
    [
      'a wildcard and everything in a list',
      file(entry('["*.apps", "*.*"]')),
      'resources[0].resources[0]: "*.apps" and "*.*" overlap',
    ],
    [
      'a provider without keys',
      file(entry('[secrets]', '[{aescbc: {keys: []}}]')),
      'resources[0].providers[0].aescbc.keys: aescbc has no keys',
    ],
    [
      'a key without a name',
      file(entry('[secrets]', `[{aescbc: {keys: [{secret: ${key32}}]}}]`)),
      'resources[0].providers[0].aescbc.keys[0].name: this key has no name',
    ],
    [
      'a key without a secret',
      file(entry('[secrets]', '[{aescbc: {keys: [{name: a}]}}]')),
      'resources[0].providers[0].aescbc.keys[0].secret: this key has no secret',
    ],
    [
      'no kms name',
      kms('apiVersion: v2, endpoint: "unix:///a"'),
      'resources[0].providers[0].kms.name: this kms provider has no name',
    ],
    ['a tab before a comment', `${file(entry('[secrets]'))}\t# note\n`, ': not valid YAML: a tab is used'],
    ['broken JSON', '{"apiVersion": x}', ': a file that begins with { is read as JSON'],
  ])('%s', (_, text, problem) => expect(judge(text).errors).toContainEqual(expect.stringContaining(problem)));

  it('a kms name that stands in two entries, and says where the first is', () => {
    const provider = '[{kms: {apiVersion: v2, name: a, endpoint: "unix:///a"}}]';
    expect(judge(file(entry('[secrets]', provider), entry('[pods]', provider))).errors).toEqual([
      'resources[1].providers[0].kms.name: the kms name "a" stands at resources[0].providers[0].kms.name already; names are unique over all entries of the file',
    ]);
  });

  describe('two kms entries of one name', () => {
    const pair = (first: string, second: string): string =>
      file(entry('[secrets]', kmsProvider(first)), entry('[pods]', kmsProvider(second)));
    it.each([
      ['v1', 'v1', true, false],
      ['v2', 'v1', true, false],
      ['v1', 'v2', true, true],
      ['v2', 'v2', true, true],
    ])('%s and %s: with reload refused (%s), without (%s)', (first, second, reloading, restarting) => {
      const text = pair(first, second);
      const refusedWith = (reload: boolean) => judge(text, { kmsV1: true, reload }).errors.length > 0;
      expect([refusedWith(true), refusedWith(false)]).toEqual([reloading, restarting]);
      expect(judge(text, { kmsV1: true, reload: false }).warnings).toHaveLength(restarting ? 0 : 1);
    });
  });

  it('says line and column', () => {
    const [problem] = validateEncryptionConfiguration(file(entry('[secrets]'), entry('[Pods]')));
    expect(problem).toMatchObject({ line: 6, column: 15, severity: 'error' });
  });

  it('throws all problems at once when it is to be parsed', () => {
    expect(() => parseEncryptionConfiguration(file(entry('[Secrets]', '[]')))).toThrow(
      expect.objectContaining({
        code: 'EncryptionConfigurationInvalid',
        problems: [expect.anything(), expect.anything()],
      }),
    );
  });
});

describe('a file that is taken otherwise than it looks', () => {
  it.each([
    [
      'a host in the endpoint',
      kms('apiVersion: v2, name: a, endpoint: "unix://run/a.sock"'),
      'kube-apiserver takes the socket path "/a.sock"',
    ],
    ['a second document', `${file(entry('[secrets]'))}---\n{`, 'reads only the first'],
    [
      'two keys of one name',
      file(
        entry('[secrets]', `[{aescbc: {keys: [{name: a, secret: ${key16}}, {name: a, secret: ${key32}}]}}]`),
      ),
      'another key of this provider is named "a"',
    ],
  ])('%s', (_, text, warning) => {
    expect(judge(text).errors).toEqual([]);
    expect(judge(text).warnings).toEqual([expect.stringContaining(warning)]);
  });
});

it('a parsed file has no key material', () => {
  const text = file(
    entry('[secrets, pods]', `[{aescbc: {keys: [{name: a, secret: ${key16}}]}}, {identity: {}}]`),
  );
  expect(parseEncryptionConfiguration(text)).toEqual({
    entries: [
      {
        resources: ['secrets', 'pods'],
        providers: [{ type: 'aescbc', keyNames: ['a'] }, { type: 'identity' }],
      },
    ],
  });
});
