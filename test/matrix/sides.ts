import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  isKeyService,
  kindOf,
  SIDES,
  type KeyServiceName,
  type LocalName,
  type SideName,
} from './journey.ts';

/** A provider as either side of a Migration, and as the prefix of what it writes (`plain` for none). */
export interface Side {
  readonly source: object;
  readonly target: object;
  readonly format: string;
}

/** The keys of local providers, in files as on a node. */
export class KeyFiles {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    for (const name of SIDES) {
      if (name === 'identity' || isKeyService(name)) continue;
      writeFileSync(this.file(name), `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    }
  }

  file(name: LocalName): string {
    return join(this.#dir, name);
  }

  /** An EncryptionConfiguration whose only provider this is. */
  configuration(provider: Exclude<SideName, KeyServiceName>): string {
    const entry =
      provider === 'identity'
        ? '- identity: {}'
        : `- ${kindOf(provider)}:
          keys:
            - name: ${keyNameOf(provider)}
              secret: ${readFileSync(this.file(provider), 'utf8').trim()}`;
    return `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets, configmaps]
    providers:
      ${entry}
`;
  }
}

/**
 * All providers as sides of migrations.
 *
 * @param endpoint - of a key service's plugin; `{node}` stands for the node
 */
export function sidesOf(
  files: KeyFiles,
  endpoint: (keyService: KeyServiceName) => string,
): Record<SideName, Side> {
  const sides = SIDES.map((one): [SideName, Side] => {
    if (one === 'identity')
      return [one, { source: { identity: {} }, target: { identity: {} }, format: 'plain' }];
    if (isKeyService(one)) {
      return [
        one,
        {
          source: { kms: { name: one } },
          target: { kms: { name: one, endpoint: endpoint(one) } },
          format: `k8s:enc:kms:v2:${one}:`,
        },
      ];
    }
    const type = kindOf(one);
    const keyName = keyNameOf(one);
    return [
      one,
      {
        source: { [type]: { keyName } },
        target: { [type]: { keyName, secretFile: files.file(one) } },
        format: `k8s:enc:${type}:v1:${keyName}:`,
      },
    ];
  });
  return Object.fromEntries(sides) as Record<SideName, Side>;
}

function keyNameOf(name: LocalName): string {
  return `${name}-key`;
}
