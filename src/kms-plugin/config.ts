import { readFile } from 'node:fs/promises';
import { normalize } from 'node:path';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { KeyferryError } from '../errors.ts';
import { systemErrorCode } from '../keys/system-error.ts';
import { metricsField, protectionFields, protectionProblem, rotationField } from './config-protection.ts';
import { absolutePath, name } from './key-services/fields.ts';
import { conflictOf, keyServiceFields, numberProblem } from './key-services/key-services.ts';
import { fitsSocketPath } from './socket.ts';

const key = z
  .strictObject({
    name,
    socket: absolutePath.refine(
      fitsSocketPath,
      'is too long for a unix socket: shorten the path to 90 bytes or so',
    ),
    ...keyServiceFields,
    ...protectionFields,
    rotation: rotationField,
  })
  .superRefine((entry, context) => {
    const message = numberProblem(entry);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
    const problem = protectionProblem(entry);
    if (problem !== undefined)
      context.addIssue({ code: 'custom', path: [problem.field], message: problem.message });
  });

const schema = z
  .strictObject({
    apiVersion: z.literal('keyferry.dev/v1alpha1'),
    kind: z.literal('PluginConfiguration'),
    keys: z.array(key).min(1, 'must hold one key at least'),
    metrics: metricsField,
  })
  .superRefine(({ keys }, context) => {
    const report = (index: number, field: string, message: string) =>
      context.addIssue({ code: 'custom', path: ['keys', index, field], message });
    keys.forEach((current, index) => {
      const before = keys.slice(0, index);
      if (before.some((other) => other.name === current.name)) report(index, 'name', 'is there twice');
      if (before.some((other) => other.socket === current.socket)) report(index, 'socket', 'is there twice');
      const ledger = ledgerOf(current);
      if (ledger !== undefined && before.some((other) => ledgerOf(other) === ledger))
        report(index, 'rotation.ledger', 'is there twice');
      for (const other of before) {
        const conflict = conflictOf(current, other);
        if (conflict !== undefined) report(index, conflict.field, conflict.message);
      }
    });
  });

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

function ledgerOf({ rotation }: z.infer<typeof key>): string | undefined {
  return rotation && normalize(rotation.ledger);
}

function pathOf(path: readonly PropertyKey[]): string {
  const text = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  return text === '' ? 'document' : text.replace(/^\./, '');
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? text;
}
