import { execFileSync } from 'node:child_process';
import { describe, expect, it } from '@jest/globals';

/** The packages that a process loads with a module. */
function packagesOf(module: string): string[] {
  const script = `
    import { registerHooks } from 'node:module';
    const packages = new Set();
    registerHooks({
      load(url, context, next) {
        const name = /.*\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url)?.[1];
        if (name !== undefined) packages.add(name);
        return next(url, context);
      },
    });
    await import(${JSON.stringify(module)});
    console.log(JSON.stringify([...packages]));
  `;
  const { NODE_OPTIONS: _, ...env } = process.env;
  const text = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return JSON.parse(text) as string[];
}

describe('keyferry plugin', () => {
  it('loads no SDK of a key service that it may not have, for a plugin that was killed is waited for', () => {
    const packages = packagesOf(new URL('plugin.ts', import.meta.url).href);
    expect(packages).toContain('@grpc/grpc-js');
    const needless = /^(@aws-sdk|@smithy|@temporalio)\/|^(node-vault|axios|pkcs11js|age-encryption|undici)$/;
    expect(packages.filter((name) => needless.test(name))).toEqual([]);
  });
});
