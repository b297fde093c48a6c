import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from '../../lab/lab.ts';

/** Requests that Vault was asked with: `encrypt` and `decrypt` use the key, `keys` looks at its versions. */
export interface Calls {
  readonly encrypt: number;
  readonly decrypt: number;
  readonly keys: number;
}

export interface Audit {
  mark(): number;
  since(mark: number): Calls;
}

/** What Vault itself says that it was asked. Nobody else asks for a key of its transit engine. */
export async function auditOf(lab: Lab): Promise<Audit> {
  const log = join(lab.dir, 'audit.log');
  const vault = lab.vaultAdmin();
  await vault.expect('PUT', '/v1/sys/audit/file', { type: 'file', options: { file_path: log } });
  vault.close();
  return {
    mark: () => statSync(log).size,
    since: (mark) => {
      const calls = { encrypt: 0, decrypt: 0, keys: 0 };
      for (const line of readFileSync(log).subarray(mark).toString().split('\n')) {
        if (line === '') continue;
        const { type, request } = JSON.parse(line) as { type: string; request: { path: string } };
        const call = /^transit\/(encrypt|decrypt|keys)\//.exec(request.path)?.[1];
        if (type === 'request' && call !== undefined) calls[call as keyof Calls] += 1;
      }
      return calls;
    },
  };
}

/** Uses of the key itself. */
export function keyCalls({ encrypt, decrypt }: Calls): number {
  return encrypt + decrypt;
}
