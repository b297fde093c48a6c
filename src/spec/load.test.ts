import { describe, expect, it } from '@jest/globals';
import { parseAny, parseMigration, SpecInvalidError } from './load.ts';

const VALID = `
apiVersion: keyferry.dev/v1alpha1
kind: Migration
metadata: { name: local-to-vault }
spec:
  cluster:
    name: prod
    kubeconfig: { file: kubeconfig }
    apiServers:
      - { name: cp-1, server: https://10.0.0.11:6443 }
      - { name: cp-2, server: https://10.0.0.12:6443 }
    etcd: { endpoints: [https://10.0.0.11:2379] }
    encryptionConfiguration: { file: /etc/kubernetes/encryption/config.yaml }
  resources: [secrets]
  source: { aescbc: { keyName: key1 } }
  target: { kms: { name: vault, endpoint: unix:///run/vault.sock } }
`;

function problemsOf(text: string): string[] {
  try {
    parseMigration(text, 'm.yaml');
  } catch (error) {
    if (error instanceof SpecInvalidError) {
      return error.problems.map(({ path, line, message, suggestion }) =>
        [`${line ?? '?'} ${path}: ${message}`, suggestion].filter((part) => part !== undefined).join(' '),
      );
    }
    throw error;
  }
  return [];
}

/** The valid document with one text for another; fails where the text isn't there. */
function with_(before: string, after: string): string {
  expect(VALID).toContain(before);
  return VALID.replace(before, after);
}

describe('a valid Migration', () => {
  it('is read with its defaults', () => {
    const { spec } = parseMigration(VALID, 'm.yaml');
    expect(spec).toMatchObject({
      cluster: {
        etcd: { prefix: '/registry' },
        encryptionConfiguration: { takeUp: 'Reload' },
        requestTimeout: '60s',
      },
      engine: 'APIServer',
      pace: { objectsPerSecond: 0, concurrency: 16, shards: 8 },
      gates: { cutover: 'Manual', cleanup: 'Manual', soak: '0s' },
      verify: { reads: 'Sample' },
    });
  });

  it('may be JSON', () => {
    const { metadata } = parseMigration(JSON.stringify(parseMigration(VALID, 'm.yaml')), 'm.json');
    expect(metadata.name).toBe('local-to-vault');
  });
});

describe('an invalid Migration is told where it is wrong, and what to write', () => {
  it.each<[string, string, string]>([
    [
      'a field that does not exist, with the one that was meant',
      with_('kubeconfig:', 'kubeConfig:'),
      '8 spec.cluster.kubeConfig: is not a field here did you mean "kubeconfig"?',
    ],
    [
      'a provider that does not exist',
      with_('aescbc:', 'aescbd:'),
      '15 spec.source.aescbd: is not a field here did you mean "aescbc"?',
    ],
    [
      'two sources at once',
      with_('{ aescbc: { keyName: key1 } }', '{ aescbc: { keyName: key1 }, identity: {} }'),
      '15 spec.source: source needs exactly one of identity, aescbc, aesgcm, secretbox, kms; given are identity and aescbc',
    ],
    [
      'an API server that is listed twice',
      with_('name: cp-2', 'name: cp-1'),
      '11 spec.cluster.apiServers[1].name: is listed twice; each API server stands here once, by its own address',
    ],
    [
      'an address without TLS',
      with_('https://10.0.0.11:6443', 'http://10.0.0.11:6443'),
      '10 spec.cluster.apiServers[0].server: must be an https:// address of this one API server',
    ],
    [
      'a relative path on the nodes',
      with_('/etc/kubernetes/', './'),
      '13 spec.cluster.encryptionConfiguration.file: must be an absolute path on the nodes',
    ],
    [
      'a name that no kms entry may have',
      with_('name: vault', "name: 'a:b'"),
      "16 spec.target.kms.name: must not contain ':' (a KMS v2 name can't)",
    ],
    [
      'a time zone that does not exist',
      with_(
        'resources:',
        'pace: { schedule: [{ from: "22:00", to: "06:00", timeZone: Europe/Berlyn }] }\n  resources:',
      ),
      '14 spec.pace.schedule[0].timeZone: must be a name of the IANA time zone database, such as Europe/Berlin, or UTC',
    ],
    [
      'a time of day that YAML takes for a number',
      with_('resources:', 'pace: { schedule: [{ from: 22, to: "06:00" }] }\n  resources:'),
      '14 spec.pace.schedule[0].from: Invalid input: expected string, received number',
    ],
    [
      'a schedule for what nothing stops',
      with_(
        'resources:',
        'engine: StorageVersionMigration\n  pace: { schedule: [{ from: "22:00", to: "06:00" }] }\n  resources:',
      ),
      "15 spec.pace.schedule: can't be kept by the engine StorageVersionMigration, which nothing stops; take APIServer",
    ],
    [
      'a schedule that ends when it begins',
      with_('resources:', 'pace: { schedule: [{ from: "22:00", to: "22:00" }] }\n  resources:'),
      '14 spec.pace.schedule[0]: must not end when it begins; leave the schedule out to rewrite at any time',
    ],
    [
      'a value that is none of those allowed',
      with_('resources:', 'gates: { cutover: Yes }\n  resources:'),
      '14 spec.gates.cutover: Invalid option: expected one of "Manual"|"Auto" use Manual or Auto',
    ],
  ])('%s', (_, text, problem) => expect(problemsOf(text)).toContain(problem));

  it('all at once, not one after another', () => {
    const text = with_('name: prod', 'name: PROD').replace('[secrets]', '[]');
    expect(problemsOf(text)).toHaveLength(2);
  });

  it('with the line of a document that is not YAML', () => {
    expect(problemsOf('a: [1\nb: 2')[0]).toMatch(/^2 : /);
  });
});

describe('a StorageVersionMigration', () => {
  const document = (engine: string): string => `
apiVersion: keyferry.dev/v1alpha1
kind: StorageVersionMigration
metadata: { name: selfies-to-v2 }
spec:
  cluster:
    name: prod
    kubeconfig: { file: kubeconfig }
    apiServers: [{ name: cp-1, server: https://10.0.0.11:6443 }]
    etcd: { endpoints: [https://10.0.0.11:2379] }
  resources: [selfierequests.stable.example.com]
  ${engine}
`;

  it('is read by its kind, with its defaults, and needs no encryption configuration', () => {
    expect(parseAny(document(''), 's.yaml').spec).toMatchObject({
      engine: 'APIServer',
      gates: { trim: 'Manual' },
      verify: { reads: 'All' },
    });
  });

  it('has no engine Etcd, and is told why', () => {
    expect(() => parseAny(document('engine: Etcd'), 's.yaml')).toThrow(
      /s.yaml is not a valid StorageVersionMigration:\n.*spec.engine: can't be Etcd: .* only an API server converts/,
    );
  });

  it("may be the cluster's own migrator's, but at no time of the day", () => {
    const engine = 'engine: StorageVersionMigration';
    expect(parseAny(document(engine), 's.yaml').spec).toMatchObject({ engine: 'StorageVersionMigration' });
    const schedule = 'pace: { schedule: [{ from: "22:00", to: "06:00" }] }';
    expect(() => parseAny(document(`${engine}\n  ${schedule}`), 's.yaml')).toThrow(
      /spec.pace.schedule: can't be kept by the engine StorageVersionMigration/,
    );
  });

  it('is told of a field that was meant otherwise', () => {
    expect(() => parseAny(document('gates: { trimm: Auto }'), 's.yaml')).toThrow(/did you mean "trim"/);
  });

  it('is no Migration, where one is asked for', () => {
    expect(() => parseMigration(document(''), 's.yaml')).toThrow(/is not a valid Migration/);
  });
});
