import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { PluginWatch } from './plugin-watch.ts';

let directory: string;
const listening: Server[] = [];
const socket = (name: string): string => join(directory, `${name}.sock`);

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kf-watch-'));
  for (const name of ['vault', 'hsm', 'aws-kms']) {
    const server = createServer((connection) => connection.end());
    await new Promise<void>((resolve) => server.listen(socket(name), resolve));
    listening.push(server);
  }
});

afterEach(() => {
  for (const server of listening.splice(0)) server.close();
  rmSync(directory, { recursive: true });
});

/** A file with kms providers, each at the socket of its name or of another. */
const file = (...providers: (string | [name: string, socket: string])[]): string =>
  stringify({
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'EncryptionConfiguration',
    resources: [
      {
        resources: ['secrets'],
        providers: [
          ...providers.map((one) => {
            const [name, at] = typeof one === 'string' ? [one, one] : one;
            return { kms: { apiVersion: 'v2', name, endpoint: `unix://${socket(at)}` } };
          }),
          { identity: {} },
        ],
      },
    ],
  });

/** Each node has all of its files, one after another. */
async function watched(files: Record<string, string[]>): Promise<string[]> {
  const looks = Math.max(...Object.values(files).map(({ length }) => length));
  let look = -1;
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const watch = PluginWatch.start(() => {
    look += 1;
    if (look === looks) end();
    return Object.fromEntries(
      Object.entries(files).map(([node, texts]) => [node, texts[look] ?? texts.at(-1) ?? '']),
    );
  });
  await ended;
  return await watch.stop(['hsm', 'vault']);
}

describe('a watch over plugins', () => {
  it('finds nothing wrong with two side by side in between', async () => {
    const texts = [file('vault'), file('vault', 'hsm'), file('hsm', 'vault'), file('hsm')];
    expect(await watched({ 'cp-1': texts, 'cp-2': texts })).toEqual([]);
  });

  it('misses the two on a node that changed from one to the other at once', async () => {
    const files = { 'cp-1': [file('vault', 'hsm')], 'cp-2': [file('vault'), file('hsm')] };
    expect(await watched(files)).toEqual(['cp-2 never had the kms providers hsm, vault side by side']);
  });

  it('finds a third', async () => {
    const files = { 'cp-1': [file('vault', 'hsm'), file('vault', 'hsm', 'aws-kms')] };
    expect(await watched(files)).toEqual(['cp-1 had the kms providers aws-kms, hsm, vault at once']);
  });

  it('finds two at one socket', async () => {
    const files = { 'cp-1': [file('vault', ['hsm', 'vault'])] };
    expect(await watched(files)).toEqual(['cp-1: hsm, vault share a socket']);
  });

  it('finds one that was stopped while it was still in the file', async () => {
    const files = { 'cp-1': [file('vault', 'hsm'), file('vault', ['hsm', 'gone'])] };
    expect(await watched(files)).toEqual(['cp-1 had hsm in its file while nothing listened']);
  });
});
