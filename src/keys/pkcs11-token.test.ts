import { describe, expect, it } from '@jest/globals';
import type { PKCS11 } from 'pkcs11js';
import { assertPresent, type Pkcs11Api, type Pkcs11Session } from './pkcs11-token.ts';

/** A session whose module, a stub, tells this of its token and itself. */
function session(serialNumber: string | Error, state: number): Pkcs11Session {
  const module = {
    C_GetTokenInfo: () => {
      if (serialNumber instanceof Error) throw serialNumber;
      return { serialNumber: serialNumber.padEnd(16) };
    },
    C_GetSessionInfo: () => ({ state }),
  };
  return {
    api: {} as Pkcs11Api,
    module: module as unknown as PKCS11,
    slot: Buffer.alloc(8),
    handle: Buffer.alloc(8),
    tokenLabel: 'the-token',
    tokenSerial: '77',
  };
}

const loggedIn = 1;
const publicOnly = 0;

describe('a token on which no key was found', () => {
  it('has none where it is in its slot, and the user is logged in', () => {
    expect(() => assertPresent(session('77', loggedIn))).not.toThrow();
  });

  it.each([
    ['was taken out', new Error('CKR_GENERAL_ERROR'), loggedIn],
    ['is another one', '78', loggedIn],
    // Private keys aren't found by who isn't logged in.
    ['has forgotten the login', '77', publicOnly],
  ])('is one that is away where it %s', (_, serial, state) => {
    expect(() => assertPresent(session(serial, state))).toThrow(
      expect.objectContaining({ kind: 'unavailable', sessionLost: true }),
    );
  });
});
