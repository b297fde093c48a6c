import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { encryptionConfigCommand } from './encryption-config.ts';

const valid = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers: [{identity: {}}]
`;

let directory: string;
let file: string;
let printed: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'keyferry-validate-'));
  file = join(directory, 'config.yaml');
  printed = '';
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += text.toString();
    return true;
  });
});
afterEach(async () => {
  jest.restoreAllMocks();
  process.exitCode = 0;
  await rm(directory, { recursive: true });
});

/** Runs `validate` on a text, and answers with the exit code. */
async function validate(text: string, ...flags: string[]): Promise<unknown> {
  await writeFile(file, text);
  process.exitCode = 0;
  await encryptionConfigCommand().parseAsync(['validate', file, ...flags], { from: 'user' });
  return process.exitCode;
}

describe('encryption-config validate', () => {
  it('leaves with 0 for a file that kube-apiserver takes', async () => {
    expect(await validate(valid)).toBe(0);
    expect(printed).toBe(`${file}: valid\n`);
  });

  it('leaves with 65, and says where and what to do, for one that it refuses', async () => {
    expect(await validate(valid.replace('secrets', 'Secrets'))).toBe(65);
    expect(printed).toBe(
      `${file}:4:15: error: resources[0].resources[0]: "Secrets" holds capital letters, which no resource has\n` +
        `  what to do: Write the plural name in lower case.\n${file}: not valid\n`,
    );
  });

  it('leaves with 0 for warnings, and prints them', async () => {
    expect(await validate(`${valid}---\nmore: 1\n`)).toBe(0);
    expect(printed).toContain(':6:1: warning: a second YAML document begins here');
  });

  it('takes kms v1 only for servers that have the gate', async () => {
    const v1 = valid.replace('identity: {}', 'kms: {name: a, endpoint: "unix:///a"}');
    expect(await validate(v1)).toBe(65);
    expect(await validate(v1, '--kms-v1')).toBe(0);
  });

  it('prints one JSON document when asked', async () => {
    expect(await validate(valid.replace('secrets', '"*"'), '--json')).toBe(65);
    expect(JSON.parse(printed)).toMatchObject({
      file,
      valid: false,
      problems: [{ line: 4, severity: 'error' }],
    });
  });
});
