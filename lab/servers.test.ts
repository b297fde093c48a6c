import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, expect } from '@jest/globals';
import { saysReady, shellQuote } from './keyferry-processes.ts';
import { keyferryMain, labPaths, refuseDeepDir } from './paths.ts';
import {
  moduleDir,
  pinnedVersion,
  previousApiServer,
  serverModules,
  versionFits,
  type ServerModule,
} from './server-modules.ts';

describe('the servers of a lab', () => {
  it.each([...Object.values(serverModules), previousApiServer])(
    '$module is pinned by a committed module',
    (server) => {
      expect(pinnedVersion(server)).toMatch(/^\d+\.\d+\.\d+$/);
      expect(existsSync(join(moduleDir(server), 'go.sum'))).toBe(true);
    },
  );

  it('take an API server that has the metric of the loaded configuration, and no older one', () => {
    const server = serverModules['kube-apiserver'];
    expect(versionFits(server, 'Kubernetes v1.36.3')).toBe(true);
    expect(versionFits(server, 'Kubernetes v1.34.0')).toBe(true);
    expect(versionFits(server, 'Kubernetes v1.33.9')).toBe(false);
    expect(versionFits(server, 'Kubernetes v0.0.0-master')).toBe(false);
    expect(versionFits(server, '')).toBe(false);
  });

  it('have an older API server of the minor version right before', () => {
    const minorOf = (server: ServerModule) => Number(pinnedVersion(server).split('.')[1]);
    expect(minorOf(previousApiServer)).toBe(minorOf(serverModules['kube-apiserver']) - 1);
  });

  it('are started by the keyferry that runs', () => {
    expect(keyferryMain()).toMatch(/\/src\/cli\/main\.ts$/);
  });
});

describe('the folder of a lab', () => {
  it('is refused when sockets below it could not be opened', () => {
    expect(() => refuseDeepDir(labPaths(`/tmp/${'deep/'.repeat(20)}`), ['cp-1'])).toThrow(/fewer than 100/);
    expect(() => refuseDeepDir(labPaths('/tmp/lab'), ['cp-1', 'cp-2'])).not.toThrow();
  });
});

describe('readiness in a JSON log', () => {
  it('is a message that has the word ready', () => {
    expect(saysReady('{"msg":"starting"}\n{"level":"info","msg":"agent ready"}\n')).toBe(true);
  });

  it('is not any line that mentions it, nor half a line', () => {
    expect(saysReady('{"msg":"already there"}\nready\n{"msg":"wor","ready":1}\n{"msg":"ready')).toBe(false);
  });
});

describe('a restart command', () => {
  it('quotes what a shell would take apart', () => {
    expect(shellQuote('/usr/bin/node')).toBe('/usr/bin/node');
    expect(shellQuote("it's here")).toBe(`'it'\\''s here'`);
  });
});
