/*
 * A process of its own for one session with a token: a PKCS#11 module is native code of its vendor's, and what it crashes
 * is this process alone. Only synchronous calls are made here: pkcs11js' asynchronous ones read buffers that may have been
 * collected meanwhile.
 */
import { createRequire } from 'node:module';
import { explainPkcs11, Pkcs11TokenError } from './pkcs11-errors.ts';
import { Pkcs11Keys } from './pkcs11-keys.ts';
import type { Pkcs11Answer, Pkcs11Request } from './pkcs11-messages.ts';
import { closeSession, openSession, type Pkcs11Api, type Pkcs11Session } from './pkcs11-token.ts';

let session: Pkcs11Session | undefined;
let keys: Pkcs11Keys | undefined;

// A terminal or a supervisor signals the whole group; this process ends when its parent does, or lets go of it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => {
  if (session !== undefined) closeSession(session);
  process.exit(0);
});
process.on('message', (request: Pkcs11Request) => process.send?.(answerTo(request)));

function answerTo(request: Pkcs11Request): Pkcs11Answer {
  try {
    return carryOut(request);
  } catch (error) {
    return { type: 'failed', failure: explainPkcs11(error, 'be used').toFailure() };
  }
}

function carryOut(request: Pkcs11Request): Pkcs11Answer {
  if (request.type === 'open') {
    session = openSession(loadPkcs11js(), request.options, request.pin);
    keys = new Pkcs11Keys(session, request.options);
    return { type: 'opened' };
  }
  if (keys === undefined) throw new Error('asked before it was opened');
  switch (request.type) {
    case 'current':
      return { type: 'current', ...keys.current() };
    case 'encrypt':
      return { type: 'bytes', bytes: keys.encrypt(Buffer.from(request.bytes), request.keyId) };
    case 'decrypt':
      return { type: 'bytes', bytes: keys.decrypt(Buffer.from(request.bytes), request.keyId) };
  }
}

function loadPkcs11js(): Pkcs11Api {
  try {
    return createRequire(import.meta.url)('pkcs11js') as Pkcs11Api;
  } catch {
    throw new Pkcs11TokenError(
      'denied',
      'Pkcs11NotInstalled',
      "the package pkcs11js is not installed, or was not built for this machine's Node.js",
      'install it beside keyferry (npm install pkcs11js; it needs a C++ compiler), and restart the plugin',
    );
  }
}
