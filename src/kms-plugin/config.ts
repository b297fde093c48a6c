import { readFile } from 'node:fs/promises';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { KeyferryError } from '../errors.ts';
import { systemErrorCode } from '../keys/system-error.ts';
import { type VaultAuth } from '../keys/vault-session.ts';
import { fitsSocketPath } from './socket.ts';

const absolutePath = z.string().regex(/^\/[^\0]*[^/\0]$/, 'must be the absolute path of a file');
const name = z.string().regex(/^[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$/, {
  error: 'must be 1 to 63 letters, digits, "-", "_" or ".", the first and last a letter or digit',
});
const mount = z
  .string()
  .regex(
    /^[-_.A-Za-z0-9]+(\/[-_.A-Za-z0-9]+)*$/,
    'must be a mount path without slashes at its ends, as in transit',
  )
  .refine(
    (path) => path.split('/').every((part) => part !== '.' && part !== '..'),
    'must not hold "." or ".."',
  )
  .refine((path) => path.length <= 200, 'must have 200 characters at most');

const address = z
  .string()
  .refine(
    isAddress,
    'must be http:// or https:// with a host and a port, and nothing after it, as in https://vault.example.com:8200',
  );

const auth = z
  .strictObject({
    tokenFile: absolutePath.optional(),
    appRole: z
      .strictObject({ roleIdFile: absolutePath, secretIdFile: absolutePath, mount: mount.default('approle') })
      .optional(),
  })
  .transform(({ tokenFile, appRole }, context): VaultAuth => {
    if (tokenFile !== undefined && appRole === undefined) return { type: 'token-file', tokenFile };
    if (tokenFile === undefined && appRole !== undefined) return { type: 'approle', ...appRole };
    context.addIssue({ code: 'custom', message: 'must have either tokenFile or appRole' });
    return z.NEVER;
  });

const vaultTransit = z.strictObject({
  service: name,
  address,
  mount: mount.default('transit'),
  key: name,
  auth,
  caFile: absolutePath.optional(),
  namespace: z.string().min(1, 'must not be empty; leave it out for the root namespace').optional(),
});

const key = z.strictObject({
  name,
  socket: absolutePath.refine(
    fitsSocketPath,
    'is too long for a unix socket: shorten the path to 90 bytes or so',
  ),
  vaultTransit,
});

const schema = z
  .strictObject({
    apiVersion: z.literal('keyferry.dev/v1alpha1'),
    kind: z.literal('PluginConfiguration'),
    keys: z.array(key).min(1, 'must hold one key at least'),
  })
  .superRefine(({ keys }, context) => {
    const report = (index: number, field: string, message: string) =>
      context.addIssue({ code: 'custom', path: ['keys', index, field], message });
    keys.forEach((current, index) => {
      const before = keys.slice(0, index);
      if (before.some((other) => other.name === current.name)) report(index, 'name', 'is there twice');
      if (before.some((other) => other.socket === current.socket)) report(index, 'socket', 'is there twice');
      // Key ids are made of the service's name: two Vaults under one name would share them.
      if (before.some((other) => sameNameOtherVault(other.vaultTransit, current.vaultTransit))) {
        report(index, 'vaultTransit', 'has the service of another key, but not its address and namespace');
      }
    });
  });

/** A key of a Vault as the file has it, defaults filled in. */
export type VaultTransitKey = z.infer<typeof vaultTransit>;

/** One key and the socket it is served at. */
export type PluginKey = z.infer<typeof key>;

/** What `keyferry plugin` serves. */
export type PluginConfiguration = z.infer<typeof schema>;

/**
 * Reads a PluginConfiguration.
 *
 * @param text - YAML
 * @throws KeyferryError `PluginConfigurationInvalid`; its message has every wrong field with its path
 */
export function parsePluginConfiguration(text: string): PluginConfiguration {
  const document = parseDocument(text);
  const [syntax] = document.errors;
  if (syntax !== undefined)
    throw invalid([`line ${syntax.linePos?.[0].line ?? 1}: ${firstLine(syntax.message)}`]);
  const parsed = schema.safeParse(document.toJS());
  if (parsed.success) return parsed.data;
  throw invalid(
    parsed.error.issues.map(({ path, message }) => {
      return `${pathOf(path)}: ${message.endsWith('received undefined') ? 'is missing' : message}`;
    }),
  );
}

/**
 * Reads a PluginConfiguration from a file.
 *
 * @throws KeyferryError `PluginConfigurationInvalid`, `FilePluginConfiguration` when the file can't be read
 */
export async function loadPluginConfiguration(file: string): Promise<PluginConfiguration> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const code = systemErrorCode(error) ?? 'unreadable';
    throw new KeyferryError('FilePluginConfiguration', `${file} can't be read (${code})`, {
      remedy: 'give the path of a PluginConfiguration that this user may read',
    });
  }
  return parsePluginConfiguration(text);
}

function invalid(problems: readonly string[]): KeyferryError {
  return new KeyferryError(
    'PluginConfigurationInvalid',
    `the PluginConfiguration is invalid:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`,
    { remedy: 'correct the fields named above, and start the plugin again' },
  );
}

function pathOf(path: readonly PropertyKey[]): string {
  const text = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  return text === '' ? 'document' : text.replace(/^\./, '');
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? text;
}

function isAddress(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return (
    (url.protocol === 'http:' || url.protocol === 'https:') &&
    url.username === '' &&
    url.password === '' &&
    url.pathname === '/' &&
    url.search === '' &&
    url.hash === ''
  );
}

function sameNameOtherVault(a: VaultTransitKey, b: VaultTransitKey): boolean {
  return a.service === b.service && (a.address !== b.address || a.namespace !== b.namespace);
}
