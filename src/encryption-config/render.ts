import type { ProviderEntry } from './types.ts';

/** An indented block for a list whose dashes stand in a column; ends with a line break. */
export function providerAsBlock(entry: ProviderEntry, column: number, eol: string): string {
  return block(providerLines(entry), column, eol);
}

export function entryAsBlock(
  resources: readonly string[],
  providers: readonly ProviderEntry[],
  column: number,
  eol: string,
): string {
  const lines = [
    '- resources:',
    ...resources.map((resource) => `    - ${scalar(resource)}`),
    '  providers:',
    ...providers.flatMap(providerLines).map((line) => `    ${line}`),
  ];
  return block(lines, column, eol);
}

export function providerAsFlow(entry: ProviderEntry): string {
  return JSON.stringify(providerValue(entry));
}

export function entryAsFlow(resources: readonly string[], providers: readonly ProviderEntry[]): string {
  return JSON.stringify({ resources, providers: providers.map(providerValue) });
}

function block(lines: readonly string[], column: number, eol: string): string {
  return lines.map((line) => `${' '.repeat(column)}${line}${eol}`).join('');
}

function providerLines(entry: ProviderEntry): string[] {
  switch (entry.type) {
    case 'identity':
      return ['- identity: {}'];
    case 'kms':
      return [
        '- kms:',
        '    apiVersion: v2',
        `    name: ${scalar(entry.name)}`,
        `    endpoint: ${scalar(entry.endpoint)}`,
        `    timeout: ${scalar(entry.timeout)}`,
      ];
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return [
        `- ${entry.type}:`,
        '    keys:',
        `      - name: ${scalar(entry.keyName)}`,
        `        secret: ${scalar(entry.secret)}`,
      ];
  }
}

function providerValue(entry: ProviderEntry): unknown {
  switch (entry.type) {
    case 'identity':
      return { identity: {} };
    case 'kms':
      return {
        kms: { apiVersion: 'v2', name: entry.name, endpoint: entry.endpoint, timeout: entry.timeout },
      };
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return { [entry.type]: { keys: [{ name: entry.keyName, secret: entry.secret }] } };
  }
}

/** Plain where no YAML reader can take it for anything but a text, else double-quoted. */
function scalar(value: string): string {
  const plain = /^[A-Za-z](?:[\w./+=-]|:(?=\S))*$/.test(value) || /^\d+(?:ms|s|m|h)$/.test(value);
  const word = /^(?:y|n|yes|no|on|off|true|false|null)$/i.test(value);
  return plain && !word ? value : JSON.stringify(value);
}
