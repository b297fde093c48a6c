import { describe, expect, test } from '@jest/globals';
import { parseEncryptionConfiguration } from './parse.ts';
import { checkRotation } from './rotation.ts';

const endpoint = 'unix:///run/vault.sock';
const vault = `kms: { apiVersion: v2, name: vault, endpoint: "${endpoint}" }`;

function config(...entries: readonly { resources: string; providers: readonly string[] }[]) {
  return parseEncryptionConfiguration(
    [
      'apiVersion: apiserver.config.k8s.io/v1',
      'kind: EncryptionConfiguration',
      'resources:',
      ...entries.flatMap(({ resources, providers }) => [
        `  - resources: [${resources}]`,
        '    providers:',
        ...providers.map((one) => `      - ${one}`),
      ]),
    ].join('\n'),
  );
}

const rotated = { resources: ['secrets'], name: 'vault', endpoint };

describe('a key can be rotated', () => {
  test('where its entry writes all that is migrated, and reads nothing else', () => {
    const file = config(
      { resources: 'secrets', providers: [vault, 'identity: {}'] },
      { resources: 'configmaps', providers: ['identity: {}'] },
    );
    expect(() => checkRotation(file, rotated)).not.toThrow();
  });
});

describe('a key can not be rotated', () => {
  test.each([
    [
      'that does not write',
      config({ resources: 'secrets', providers: ['identity: {}', vault] }),
      rotated,
      'secrets is written by identity',
    ],
    [
      'that is not in the file',
      config({ resources: 'secrets', providers: ['identity: {}'] }),
      rotated,
      'secrets is written by identity',
    ],
    [
      'by the plugin at another socket',
      config({ resources: 'secrets', providers: [vault] }),
      { ...rotated, endpoint: 'unix:///run/other.sock' },
      'it is at unix:///run/vault.sock in the file',
    ],
    [
      'that others are encrypted with, too',
      config({ resources: 'secrets, configmaps', providers: [vault] }),
      rotated,
      'also encrypts configmaps',
    ],
    [
      'that a wildcard is encrypted with',
      config({ resources: '"*.*"', providers: [vault] }),
      rotated,
      'also encrypts *.*',
    ],
  ])('%s', (_, file, entry, why) => {
    expect(() => checkRotation(file, entry)).toThrow(why);
  });
});
