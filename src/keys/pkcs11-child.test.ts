import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Pkcs11Answer, Pkcs11Request } from './pkcs11-messages.ts';

/** keyferry's own files, as they lie where none of its packages is installed. */
let folder: string;
let child: ChildProcess | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kf-'));
  const source = join(import.meta.dirname, '..');
  mkdirSync(join(folder, 'src'));
  for (const part of ['errors.ts', 'keys']) {
    cpSync(join(source, part), join(folder, 'src', part), { recursive: true });
  }
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
});

afterEach(() => {
  child?.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

async function open(): Promise<Pkcs11Answer> {
  const { NODE_OPTIONS: _, NODE_PATH: __, ...env } = process.env;
  child = fork(join(folder, 'src/keys/pkcs11-child.ts'), [], {
    env,
    serialization: 'advanced',
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const request: Pkcs11Request = {
    type: 'open',
    options: {
      service: 's',
      module: '/m.so',
      token: { label: 't' },
      key: { label: 'k' },
      mechanism: 'AES-GCM',
    },
    pin: 'the PIN of a test',
  };
  child.send(request);
  const [answer] = (await once(child, 'message')) as [Pkcs11Answer];
  return answer;
}

const notInstalled = {
  type: 'failed',
  failure: {
    kind: 'denied',
    code: 'Pkcs11NotInstalled',
    message: expect.stringContaining('pkcs11js is not installed'),
    remedy: expect.stringContaining('npm install pkcs11js'),
    sessionLost: false,
  },
};

describe('the process of a PKCS#11 module', () => {
  it('says how to install pkcs11js where it is not: it is an optional dependency', async () => {
    expect(await open()).toEqual(notInstalled);
  });

  it('says so too where pkcs11js was built for another Node.js', async () => {
    const own = join(folder, 'node_modules/pkcs11js');
    mkdirSync(own, { recursive: true });
    writeFileSync(join(own, 'index.js'), 'process.dlopen(module, "/nowhere/pkcs11.node");');
    expect(await open()).toEqual(notInstalled);
  });
});
