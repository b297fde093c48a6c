import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateAliasCommand,
  CreateKeyCommand,
  KMSClient,
  ReplicateKeyCommand,
  UpdateAliasCommand,
  type CreateKeyCommandInput,
} from '@aws-sdk/client-kms';
import { awsLaunch, awsUrl, expireSessions, iamAsRoot, type AwsEmulatorConfig } from '../../lab/aws-kms.ts';
import { findMinistack } from '../../lab/ministack.ts';
import { freePort } from '../../lab/ports.ts';
import { ProcessTable } from '../../lab/process.ts';
import { AwsKmsKeyService, type AwsKmsOptions } from '../../src/keys/aws-kms.ts';
import { parseAwsKmsKeyRef } from '../../src/keys/aws-kms-key-ref.ts';

export const region = 'eu-central-1';
export const otherRegion = 'us-west-2';
/** The account that has the keys, and the one that its users come from. */
export const account = '111111111111';
export const otherAccount = '222222222222';

/** Only what a plugin needs. */
const policy = JSON.stringify({
  Version: '2012-10-17',
  Statement: [
    {
      Effect: 'Allow',
      Action: ['kms:Encrypt', 'kms:Decrypt', 'kms:DescribeKey', 'kms:ListAliases'],
      Resource: '*',
    },
  ],
});
const identityProvider = 'cluster.test';

/** An AWS emulator of a test file's own, with a user, a role and a role for web identities; requests are signed for real. */
export class AwsAlone {
  readonly config: AwsEmulatorConfig;
  readonly #processes: ProcessTable;
  readonly #clients = new Map<string, KMSClient>();
  #services: AwsKmsKeyService[] = [];
  #secretKey = '';
  #accessKeyId = '';

  private constructor(config: AwsEmulatorConfig) {
    this.config = config;
    this.#processes = new ProcessTable(join(config.dir, 'run'));
  }

  /** Installs the emulator if it isn't there yet: give it ten minutes. */
  static async up(): Promise<AwsAlone> {
    const dir = mkdtempSync(join(tmpdir(), 'kf-aws-'));
    const ministack = await findMinistack((line) => process.stderr.write(`${line}\n`));
    const aws = new AwsAlone({ dir, port: await freePort(), ministack });
    await aws.start();
    await aws.#setUp();
    return aws;
  }

  async down(): Promise<void> {
    for (const client of this.#clients.values()) client.destroy();
    await this.stop();
    rmSync(this.config.dir, { recursive: true, force: true });
  }

  async start(): Promise<void> {
    await this.#processes.startAndWait(awsLaunch(this.config));
  }

  /** Its state is kept. */
  async stop(): Promise<void> {
    await this.#processes.stop('aws');
  }

  async signal(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    await this.#processes.signal('aws', signal);
  }

  get url(): string {
    return awsUrl(this.config);
  }

  /** The secret key of the user, which no message may hold. */
  get secrets(): readonly string[] {
    return [this.#secretKey];
  }

  /** As root, who may do everything. */
  kms(ofRegion = region, ofAccount = account): KMSClient {
    const name = `${ofRegion}/${ofAccount}`;
    const client =
      this.#clients.get(name) ??
      new KMSClient({
        region: ofRegion,
        endpoint: this.url,
        credentials: { accessKeyId: ofAccount, secretAccessKey: 'test' },
      });
    this.#clients.set(name, client);
    return client;
  }

  /** @returns the ARN of a new key */
  async newKey(input: CreateKeyCommandInput = {}, ofAccount = account, ofRegion = region): Promise<string> {
    const { KeyMetadata: key } = await this.kms(ofRegion, ofAccount).send(new CreateKeyCommand(input));
    return key?.Arn ?? '';
  }

  async newAlias(name: string, keyArn: string): Promise<void> {
    await this.kms().send(new CreateAliasCommand({ AliasName: name, TargetKeyId: keyArn }));
  }

  async moveAlias(name: string, keyArn: string): Promise<void> {
    await this.kms().send(new UpdateAliasCommand({ AliasName: name, TargetKeyId: keyArn }));
  }

  /** @returns the ARN of a new multi-Region key, with a replica in {@link otherRegion} */
  async newMultiRegionKey(): Promise<string> {
    const arn = await this.newKey({ MultiRegion: true });
    await this.kms().send(new ReplicateKeyCommand({ KeyId: arn, ReplicaRegion: otherRegion }));
    return arn;
  }

  /** The user's access key is no longer taken, or is again. */
  async setAccessKey(status: 'Active' | 'Inactive'): Promise<void> {
    await iamAsRoot(this.config, account, 'UpdateAccessKey', {
      UserName: 'node',
      AccessKeyId: this.#accessKeyId,
      Status: status,
    });
  }

  /** The user gets another access key, and the one before is deleted. */
  async replaceAccessKey(): Promise<void> {
    const former = this.#accessKeyId;
    await this.#newAccessKey();
    await iamAsRoot(this.config, account, 'DeleteAccessKey', { UserName: 'node', AccessKeyId: former });
  }

  /** What a role may do is taken away, or given back. */
  async setRole(role: 'plugin' | 'web', may: boolean): Promise<void> {
    const name = { RoleName: role, PolicyName: 'keys' };
    if (may) await iamAsRoot(this.config, account, 'PutRolePolicy', { ...name, PolicyDocument: policy });
    else await iamAsRoot(this.config, account, 'DeleteRolePolicy', name);
  }

  /** Sessions of roles run out, though those who have them think otherwise. */
  async expireSessions(): Promise<void> {
    await expireSessions(this.config, account);
  }

  /** A profile in a credentials file, with the user's access key. */
  get profile(): { type: 'profile'; profile: string; file: string } {
    return { type: 'profile', profile: 'node', file: join(this.config.dir, 'credentials') };
  }

  get webIdentity(): { type: 'web-identity'; roleArn: string; tokenFile: string } {
    return { type: 'web-identity', roleArn: roleArn('web'), tokenFile: join(this.config.dir, 'token') };
  }

  /** @param key - a key ARN or an alias */
  service(key: string, over: Partial<AwsKmsOptions> = {}, port = this.config.port): AwsKmsKeyService {
    const ref = parseAwsKmsKeyRef(key);
    if (ref === undefined) throw new Error(`${key} is neither a key ARN nor an alias`);
    const endpoint = `http://127.0.0.1:${port}`;
    const service = new AwsKmsKeyService({
      service: 'test-aws',
      key: ref,
      region,
      endpoint,
      stsEndpoint: endpoint,
      encryptionContext: {},
      credentials: { base: this.profile },
      retryMode: 'standard',
      maxAttempts: 3,
      timeoutMs: 1_500,
      ...over,
    });
    this.#services.push(service);
    return service;
  }

  async closeServices(): Promise<void> {
    await Promise.all(this.#services.splice(0).map((service) => service.close()));
  }

  async #newAccessKey(): Promise<void> {
    const answer = await iamAsRoot(this.config, account, 'CreateAccessKey', { UserName: 'node' });
    this.#accessKeyId = /<AccessKeyId>(.*?)</.exec(answer)?.[1] ?? '';
    this.#secretKey = /<SecretAccessKey>(.*?)</.exec(answer)?.[1] ?? '';
    writeFileSync(
      this.profile.file,
      `[node]\naws_access_key_id = ${this.#accessKeyId}\naws_secret_access_key = ${this.#secretKey}\n`,
    );
  }

  async #setUp(): Promise<void> {
    const iam = (action: string, parameters: Record<string, string>) =>
      iamAsRoot(this.config, account, action, parameters);
    const all = JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Resource: '*' }],
    });
    await iam('CreateUser', { UserName: 'node' });
    await iam('PutUserPolicy', { UserName: 'node', PolicyName: 'keys', PolicyDocument: policy });
    await iam('PutUserPolicy', { UserName: 'node', PolicyName: 'roles', PolicyDocument: all });
    await this.#newAccessKey();
    const provider = `arn:aws:iam::${account}:oidc-provider/${identityProvider}`;
    for (const [name, ofAccount, principal, action] of [
      ['plugin', account, { AWS: `arn:aws:iam::${account}:user/node` }, 'sts:AssumeRole'],
      ['plugin', otherAccount, { AWS: `arn:aws:iam::${account}:user/node` }, 'sts:AssumeRole'],
      ['web', account, { Federated: provider }, 'sts:AssumeRoleWithWebIdentity'],
    ] as const) {
      const trust = {
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Principal: principal, Action: action }],
      };
      await iamAsRoot(this.config, ofAccount, 'CreateRole', {
        RoleName: name,
        AssumeRolePolicyDocument: JSON.stringify(trust),
      });
      await iamAsRoot(this.config, ofAccount, 'PutRolePolicy', {
        RoleName: name,
        PolicyName: 'keys',
        PolicyDocument: policy,
      });
    }
    writeFileSync(this.webIdentity.tokenFile, webIdentityToken());
  }
}

export function roleArn(name: 'plugin' | 'web', ofAccount = account): string {
  return `arn:aws:iam::${ofAccount}:role/${name}`;
}

/** A token as a cluster's service accounts have it; the emulator reads its claims and does not check its signature. */
export function webIdentityToken(): string {
  const part = (claims: object) => Buffer.from(JSON.stringify(claims)).toString('base64url');
  const claims = { iss: `https://${identityProvider}`, sub: 'system:serviceaccount:kube-system:keyferry' };
  return [part({ alg: 'RS256' }), part({ ...claims, aud: 'sts.amazonaws.com' }), 'signature'].join('.');
}
