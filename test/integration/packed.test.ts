import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { run, type CliAnswer } from '../support/cli.ts';

jest.setTimeout(300_000);

const root = fileURLToPath(new URL('../..', import.meta.url));

describe('what npm pack makes, installed somewhere else', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kf-packed-'));

  async function npx(...args: string[]): Promise<CliAnswer> {
    // The Node that runs this test is the one a user of the package has.
    const PATH = [dirname(process.execPath), process.env['PATH']].join(delimiter);
    return await run('npx', ['--no', 'keyferry', ...args], { cwd: folder, env: { ...process.env, PATH } });
  }

  beforeAll(async () => {
    await run('npm', ['pack', '--pack-destination', folder], { cwd: root });
    const file = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? 'no package';
    writeFileSync(join(folder, 'package.json'), '{"private": true}');
    const installed = await run('npm', ['install', '--no-audit', '--prefer-offline', join(folder, file)], {
      cwd: folder,
    });
    expect(installed.code).toBe(0);
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('npx keyferry tells its version', async () => {
    expect((await npx('--version')).stdout.trim()).toMatch(/^[0-9]+\.[0-9]+\.[0-9]+/);
  });

  test('it validates documents', async () => {
    const answer = await npx('validate', '-f', join(root, 'package.json'));
    expect(answer.code).toBe(65);
    expect(answer.stderr).toContain('is not a valid Migration');
  });

  test('a worker loads the bundle that was built ahead', async () => {
    const answer = await npx('worker', '--temporal-address', '127.0.0.1:1');
    expect(answer.code).toBe(69);
    expect(answer.stderr).toContain("Temporal at 127.0.0.1:1 can't be reached");
    expect(readdirSync(join(folder, 'node_modules/keyferry/dist'))).toContain('workflow-bundle.js');
  });

  test('it brings what the lab builds servers from', () => {
    const here = readdirSync(join(root, 'lab/servers')).sort();
    expect(here).toContain('kubernetes');
    expect(readdirSync(join(folder, 'node_modules/keyferry/lab/servers')).sort()).toEqual(here);
  });
});
