import { describe, expect, it } from '@jest/globals';
import { parsePluginConfiguration } from './config.ts';

const valid = `
apiVersion: keyferry.dev/v1alpha1
kind: PluginConfiguration
keys:
  - name: vault
    socket: /run/keyferry/vault.sock
    vaultTransit:
      service: lab-vault
      address: http://127.0.0.1:8200
      key: keyferry
      auth: { tokenFile: /etc/keyferry/token }
`;

function problemsOf(text: string): string {
  try {
    parsePluginConfiguration(text);
  } catch (error) {
    expect(error).toMatchObject({ code: 'PluginConfigurationInvalid', remedy: expect.stringMatching(/\w/) });
    return (error as Error).message;
  }
  throw new Error('it was taken for valid');
}

describe('a PluginConfiguration', () => {
  it('has the mount transit and a token file', () => {
    expect(parsePluginConfiguration(valid).keys[0]?.vaultTransit).toEqual({
      service: 'lab-vault',
      address: 'http://127.0.0.1:8200',
      mount: 'transit',
      key: 'keyferry',
      auth: { type: 'token-file', tokenFile: '/etc/keyferry/token' },
    });
  });

  it('has an AppRole, mounted at approle if nothing else is said', () => {
    const text = valid.replace(
      'tokenFile: /etc/keyferry/token',
      'appRole: { roleIdFile: /r, secretIdFile: /s }',
    );
    expect(parsePluginConfiguration(text).keys[0]?.vaultTransit?.auth).toEqual({
      type: 'approle',
      roleIdFile: '/r',
      secretIdFile: '/s',
      mount: 'approle',
    });
  });

  it("has Vault's Kubernetes auth method, with the token of the pod's service account", () => {
    const text = valid.replace('tokenFile: /etc/keyferry/token', 'kubernetes: { role: keyferry }');
    expect(parsePluginConfiguration(text).keys[0]?.vaultTransit?.auth).toEqual({
      type: 'kubernetes',
      role: 'keyferry',
      tokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token',
      mount: 'kubernetes',
    });
  });

  it('has a client certificate and associated data for Vault', () => {
    const more = 'certFile: /c\n      keyFile: /k\n      associatedData: cluster-a\n      key: keyferry';
    expect(
      parsePluginConfiguration(valid.replace('key: keyferry', more)).keys[0]?.vaultTransit,
    ).toMatchObject({
      certFile: '/c',
      keyFile: '/k',
      associatedData: 'cluster-a',
    });
  });

  it('has a key in a file', () => {
    const text = `${valid.slice(0, valid.indexOf('    vaultTransit'))}    local: { service: edge, keyFile: /etc/keyferry/key }`;
    expect(parsePluginConfiguration(text).keys[0]).toMatchObject({
      name: 'vault',
      socket: '/run/keyferry/vault.sock',
      local: { service: 'edge', keyFile: '/etc/keyferry/key' },
    });
  });

  it.each([
    [
      'no key service',
      valid.slice(0, valid.indexOf('    vaultTransit')),
      'keys[0]: must have exactly one of',
    ],
    [
      'two key services',
      `${valid}    local: { service: edge, keyFile: /etc/keyferry/key }`,
      'keys[0]: must have exactly one of vaultTransit, ',
    ],
    ['another kind', valid.replace('PluginConfiguration', 'Migration'), 'kind: '],
    ['no keys', valid.slice(0, valid.indexOf('keys:')), 'keys: is missing'],
    [
      'a misspelt field',
      valid.replace('key: keyferry', 'keyy: keyferry'),
      'keys[0].vaultTransit.key: is missing',
    ],
    ['a relative socket', valid.replace('/run/keyferry/', ''), 'keys[0].socket: '],
    [
      'a socket path that Linux would cut',
      valid.replace('/run/', `/run/${'a'.repeat(90)}/`),
      'keys[0].socket: is too long',
    ],
    [
      'a mount with slashes around',
      valid.replace('key: k', 'mount: /transit/\n      key: k'),
      'keys[0].vaultTransit.mount',
    ],
    [
      'a key that leaves its mount',
      valid.replace('key: keyferry', 'key: ../../sys/seal'),
      'keys[0].vaultTransit.key',
    ],
    ['an address with a path', valid.replace(':8200', ':8200/v1'), 'keys[0].vaultTransit.address'],
    ['an address with credentials', valid.replace('http://', 'http://u:p@'), 'keys[0].vaultTransit.address'],
    ['no way to log in', valid.replace('tokenFile: /etc/keyferry/token', ''), 'keys[0].vaultTransit.auth'],
    [
      'two ways to log in',
      valid.replace('tokenFile: /etc/keyferry/token', 'tokenFile: /t, kubernetes: { role: r }'),
      'keys[0].vaultTransit.auth: must have exactly one of',
    ],
    [
      'a client certificate without its key',
      valid.replace('key: keyferry', 'certFile: /c\n      key: keyferry'),
      'keys[0].vaultTransit: must have both certFile and keyFile',
    ],
    ['broken YAML', `${valid}\n  : [`, 'line '],
  ])('with %s is refused, by its path', (_, text, path) => {
    expect(problemsOf(text)).toContain(path);
  });

  it('names every wrong field at once', () => {
    const message = problemsOf(valid.replace('name: vault', 'name: ""').replace('/run/keyferry/', ''));
    expect(message).toContain('keys[0].name');
    expect(message).toContain('keys[0].socket');
  });

  describe('with several keys', () => {
    const entry = valid.slice(valid.indexOf('  - name'));
    const second = entry.replace('name: vault', 'name: b').replace('vault.sock', 'b.sock');

    it('takes two keys of one Vault', () => {
      expect(
        parsePluginConfiguration(valid + second.replace('key: keyferry', 'key: other')).keys,
      ).toHaveLength(2);
    });

    it('refuses one socket, or one name, for two', () => {
      expect(problemsOf(valid + entry)).toMatch(
        /keys\[1\]\.name: is there twice[\s\S]*keys\[1\]\.socket: is there twice/,
      );
    });

    it('refuses two Vaults under one service name, for their key ids would collide', () => {
      expect(problemsOf(valid + second.replace(':8200', ':8300'))).toContain('keys[1].vaultTransit');
    });
  });
});
