import { describe, expect, it } from '@jest/globals';
import { parsePluginConfiguration } from '../config.ts';

const valid = {
  service: 'lab-hsm',
  module: '/usr/lib/softhsm/libsofthsm2.so',
  token: { label: 'keyferry' },
  pin: { file: '/run/keyferry/pin' },
  key: { label: 'kek' },
  mechanism: 'AES-GCM',
};

const parse = (...pkcs11: object[]) =>
  parsePluginConfiguration(
    JSON.stringify({
      apiVersion: 'keyferry.dev/v1alpha1',
      kind: 'PluginConfiguration',
      keys: pkcs11.map((one, i) => ({ name: `k${i}`, socket: `/run/keyferry/${i}.sock`, pkcs11: one })),
    }),
  );

describe('a key of an HSM in a PluginConfiguration', () => {
  it('has the PIN by reference, and the plugin choose IVs, by two sessions', () => {
    expect(parse(valid).keys[0]?.pkcs11).toEqual({
      ...valid,
      pin: { type: 'file', file: '/run/keyferry/pin' },
      ivFrom: 'Plugin',
      sessions: 2,
    });
    expect(parse({ ...valid, pin: { env: 'HSM_PIN' } }).keys[0]?.pkcs11?.pin).toEqual({
      type: 'env',
      name: 'HSM_PIN',
    });
  });

  it.each([
    ['a PIN itself', { pin: '1234' }, 'keys[0].pkcs11.pin'],
    ['a PIN in two places', { pin: { file: '/f', env: 'E' } }, 'either file or env'],
    ['a PIN nowhere', { pin: {} }, 'either file or env'],
    ['any token', { token: {} }, 'label or serial'],
    ['any key', { key: {} }, 'label or id'],
    ['a CKA_ID that is not hex', { key: { id: '0x1' } }, 'lower-case hex'],
    ['a mechanism that is not authenticated', { mechanism: 'AES-CBC' }, 'keys[0].pkcs11.mechanism'],
    ['no sessions', { sessions: 0 }, 'keys[0].pkcs11.sessions'],
    ['a module that is looked for', { module: 'libsofthsm2.so' }, 'absolute path'],
  ])('is refused with %s', (_, over, told) => {
    expect(() => parse({ ...valid, ...over })).toThrow(told);
  });

  it('may stand beside another of its token, and not under the service name of another token', () => {
    expect(parse(valid, { ...valid, key: { id: '02' } }).keys).toHaveLength(2);
    expect(() => parse(valid, { ...valid, token: { serial: '77' } })).toThrow('keys[1].pkcs11');
  });
});
