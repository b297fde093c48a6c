import { describe, expect, it } from '@jest/globals';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { parsePluginConfiguration } from './config.ts';
import { localKekProtection } from './config-protection.ts';

const recipient = await identityToRecipient(await generateX25519Identity());
const hour = 3_600_000;

function key(fields = ''): string {
  return `
apiVersion: keyferry.dev/v1alpha1
kind: PluginConfiguration
keys:
  - name: edge
    socket: /run/keyferry/edge.sock
    local: { service: edge, keyFile: /etc/keyferry/key }
    ${fields}
`;
}

describe('the protection of a key', () => {
  it('is a local KEK for a week, and an hour of grace, when nothing is said', () => {
    const [only] = parsePluginConfiguration(key()).keys;
    expect(only && localKekProtection(only.localKek)).toEqual({
      localKek: { maxAgeMs: 7 * 24 * hour, maxUses: 1_000_000 },
      memory: { keys: 1_000, ttlMs: 24 * hour, graceMs: hour },
    });
    expect(only).toMatchObject({ generation: 1 });
    expect(only?.escrow).toBeUndefined();
  });

  it('can be the key service itself', () => {
    const [only] = parsePluginConfiguration(key('localKek: { enabled: false }')).keys;
    expect(only && localKekProtection(only.localKek).localKek).toBeUndefined();
  });

  it('can be given away to offline recipients, by who says what that means', () => {
    const [only] = parsePluginConfiguration(
      key(`escrow: { recipients: [${recipient}], whoeverHoldsAnIdentityCanDecrypt: true }`),
    ).keys;
    expect(only?.escrow?.recipients).toEqual([recipient]);
  });

  it.each([
    [
      'an escrow without the flag',
      `escrow: { recipients: [${recipient}] }`,
      'whoeverHoldsAnIdentityCanDecrypt',
    ],
    [
      'an escrow without a local KEK',
      `escrow: { recipients: [${recipient}], whoeverHoldsAnIdentityCanDecrypt: true }\n    localKek: { enabled: false }`,
      'escrow: needs localKek.enabled',
    ],
    [
      'an escrow to nobody',
      'escrow: { recipients: [], whoeverHoldsAnIdentityCanDecrypt: true }',
      'escrow.recipients',
    ],
    [
      'an identity for a recipient',
      'escrow: { recipients: [AGE-SECRET-KEY-1ABC], whoeverHoldsAnIdentityCanDecrypt: true }',
      'escrow.recipients[0]: must be an age X25519 recipient',
    ],
    ['a KEK for more seals than are safe', 'localKek: { maxUses: 4294967296 }', 'localKek.maxUses'],
    ['a KEK for no time', 'localKek: { maxAge: 0h }', 'localKek.maxAge: must be a number with a unit'],
    ['generation 0', 'generation: 0', 'generation'],
  ])('is refused with %s', (_, fields, problem) => {
    expect(() => parsePluginConfiguration(key(fields))).toThrow(problem);
  });

  it('is never told in the words of a secret that was put in the wrong place', () => {
    const secret = 'AGE-SECRET-KEY-1ABCDEF';
    const text = key(`escrow: { recipients: [${secret}], whoeverHoldsAnIdentityCanDecrypt: true }`);
    let said = '';
    try {
      parsePluginConfiguration(text);
    } catch (error) {
      said = String(error);
    }
    expect(said).toContain('recipients');
    expect(said).not.toContain(secret);
  });
});

describe('a rotation', () => {
  const led = (path: string) => `rotation: { ledger: ${path} }`;
  const two = (path: string) =>
    key(led('/var/lib/keyferry/edge.json')) +
    key(led(path))
      .slice(key().indexOf('  - name'))
      .replace('name: edge', 'name: other')
      .replace('edge.sock', 'other.sock');

  it('is led where a ledger is named, and goes by itself where none is', () => {
    const [only] = parsePluginConfiguration(key(led('/var/lib/keyferry/edge.json'))).keys;
    expect(only?.rotation).toEqual({ ledger: '/var/lib/keyferry/edge.json' });
    expect(parsePluginConfiguration(key()).keys[0]?.rotation).toBeUndefined();
  });

  it('of each key has a ledger of its own', () => {
    expect(parsePluginConfiguration(two('/var/lib/keyferry/b.json')).keys).toHaveLength(2);
    for (const path of ['/var/lib/keyferry/edge.json', '/var/lib/./keyferry//edge.json']) {
      expect(() => parsePluginConfiguration(two(path))).toThrow('keys[1].rotation.ledger: is there twice');
    }
  });

  it.each([
    ['no ledger', 'rotation: {}', 'keys[0].rotation.ledger: is missing'],
    ['a ledger that is looked for', led('ledger.json'), 'keys[0].rotation.ledger: must be the absolute path'],
    ['more than a ledger', 'rotation: { ledger: /l, steady: 5m }', 'keys[0].rotation'],
  ])('is refused with %s', (_, fields, problem) => {
    expect(() => parsePluginConfiguration(key(fields))).toThrow(problem);
  });
});

describe('metrics', () => {
  it.each([
    ['127.0.0.1:8085', { host: '127.0.0.1', port: 8085 }],
    ['[::1]:0', { host: '::1', port: 0 }],
  ])('are served at %s', (address, parsed) => {
    const text = `${key()}metrics: { address: "${address}" }\n`;
    expect(parsePluginConfiguration(text).metrics?.address).toEqual(parsed);
  });

  it.each(['8085', 'localhost:8085', '127.0.0.1:99999', '127.0.0.1'])('are not served at %s', (address) => {
    expect(() => parsePluginConfiguration(`${key()}metrics: { address: "${address}" }\n`)).toThrow(
      'metrics.address',
    );
  });
});
