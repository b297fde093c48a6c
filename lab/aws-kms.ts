import { join } from 'node:path';
import { HttpClient } from './http.ts';
import { type Ministack } from './ministack.ts';
import { type Launch } from './process.ts';

/** An AWS emulator of a lab: KMS, STS and IAM. Its state is on disk between a SIGTERM and its next start. */
export interface AwsEmulatorConfig {
  /** Absolute. */
  readonly dir: string;
  readonly port: number;
  readonly ministack: Ministack;
}

export function awsUrl({ port }: AwsEmulatorConfig): string {
  return `http://127.0.0.1:${port}`;
}

/** The emulator with requests signed and permitted as AWS does: credentials count. */
export function awsLaunch(config: AwsEmulatorConfig): Launch {
  return {
    name: 'aws',
    command: config.ministack.python,
    args: [config.ministack.script],
    env: {
      // It listens on every address otherwise, and looks for containers of its own to remove.
      BIND_HOST: '127.0.0.1',
      DOCKER_HOST: 'unix:///nonexistent',
      GATEWAY_PORT: String(config.port),
      SERVICES: 'kms,sts,iam',
      AUTH: 'true',
      PERSIST_STATE: '1',
      STATE_DIR: join(config.dir, 'state'),
      LOG_LEVEL: 'WARNING',
      PYTHONUNBUFFERED: '1',
    },
    log: join(config.dir, 'aws.log'),
    readyWithinMs: 60_000,
    ready: async () => {
      const client = new HttpClient(awsUrl(config), { timeoutMs: 5_000 });
      try {
        return (await client.request('GET', '/_ministack/health')).status === 200;
      } finally {
        client.close();
      }
    },
  };
}

/**
 * A call of IAM's as an account's root user.
 *
 * @returns the answer (XML)
 */
export async function iamAsRoot(
  config: AwsEmulatorConfig,
  account: string,
  action: string,
  parameters: Readonly<Record<string, string>>,
): Promise<string> {
  const query = new URLSearchParams({ Action: action, Version: '2010-05-08', ...parameters });
  return await asRoot(config, account, 'iam', `/?${query.toString()}`);
}

/** The credentials of all assumed roles run out now, though who has them was told otherwise. */
export async function expireSessions(config: AwsEmulatorConfig, account: string): Promise<void> {
  await asRoot(config, account, 'kms', '/', { 'x-amz-target': 'TrentService.ExpireSessions' });
}

/** The emulator takes the root user by its access key id, the account's 12 digits, and doesn't look at the signature. */
async function asRoot(
  config: AwsEmulatorConfig,
  account: string,
  service: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  const now = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = `${account}/${now.slice(0, 8)}/us-east-1/${service}/aws4_request`;
  const client = new HttpClient(awsUrl(config), {
    headers: {
      'x-amz-date': now,
      authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host;x-amz-date, Signature=00`,
      ...headers,
    },
  });
  try {
    return (await client.expect('POST', path, {})).text;
  } finally {
    client.close();
  }
}
