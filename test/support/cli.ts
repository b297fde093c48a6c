import { spawn } from 'node:child_process';
import { keyferryMain } from '../../lab/paths.ts';

export interface CliAnswer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** For a document given as `-`. */
  readonly input?: string;
  readonly timeoutMs?: number;
  readonly cwd?: string;
}

/** Runs keyferry as users do: a process of its own. Any exit code is an answer; only one that doesn't end is an error. */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliAnswer> {
  const { NODE_OPTIONS: _, ...environment } = process.env;
  return await run(process.execPath, [keyferryMain(), ...args], {
    ...options,
    env: { ...environment, ...options.env },
  });
}

/** Runs any program to its end. */
export async function run(
  command: string,
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliAnswer> {
  const timeoutMs = options.timeoutMs ?? 120_000;
  const child = spawn(command, args, { stdio: 'pipe', env: options.env ?? process.env, cwd: options.cwd });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  // A program that doesn't read may be gone before it was written to.
  child.stdin.on('error', () => undefined).end(options.input ?? '');
  return await new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(
        new Error(`${args.join(' ')} did not end within ${timeoutMs} ms:\n${said.stdout}\n${said.stderr}`),
      );
    }, timeoutMs);
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, ...said });
    });
  });
}

/** The JSON that a command with `--json` answered with; says what it printed where it isn't JSON. */
export function jsonOf(answer: CliAnswer): unknown {
  try {
    return JSON.parse(answer.stdout) as unknown;
  } catch {
    throw new Error(`exit code ${answer.code}, and no JSON:\n${answer.stdout}\n${answer.stderr}`);
  }
}
