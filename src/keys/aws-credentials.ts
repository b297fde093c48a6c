import {
  fromIni,
  fromNodeProviderChain,
  fromTemporaryCredentials,
  fromTokenFile,
} from '@aws-sdk/credential-providers';
import { awsFailure } from './aws-errors.ts';
import { KeyServiceError } from './key-service.ts';
import { systemErrorCode } from './system-error.ts';

/** Where AWS credentials come from. None of them is in here: they lie in files, or AWS hands them out. */
export interface AwsCredentialSource {
  /**
   * `default`: the SDK's chain (environment, shared files, container and instance metadata); `profile`: one of the shared
   * files; `web-identity`: a role for a token that some identity provider keeps fresh in a file.
   */
  readonly base:
    | { readonly type: 'default' }
    | { readonly type: 'profile'; readonly profile: string; readonly file?: string }
    | { readonly type: 'web-identity'; readonly roleArn: string; readonly tokenFile: string };
  /** A role that the base may assume: that of another account, for one. */
  readonly assumeRole?: { readonly roleArn: string; readonly externalId?: string };
}

/** What the SDK's clients are made with. */
export interface AwsClientConfig {
  readonly region: string;
  readonly endpoint?: string;
  readonly retryMode: 'standard' | 'adaptive';
  /** In all. */
  readonly maxAttempts: number;
  /** In milliseconds. A request that takes longer is only warned about, unless told to throw. */
  readonly requestHandler: {
    readonly connectionTimeout: number;
    readonly requestTimeout: number;
    readonly throwOnRequestTimeout: true;
  };
}

type Provider = ReturnType<typeof fromTokenFile>;
type Credentials = Awaited<ReturnType<Provider>>;

/** Shown in AWS's CloudTrail. */
const sessionName = 'keyferry';

/**
 * A provider that takes credentials anew each time it is asked: files are read again, roles assumed again. Whoever asks
 * keeps them until they run out.
 *
 * @param sts - for AWS STS, where roles are assumed
 * @throws KeyServiceError `AwsCredentials` (kind `denied`), `UnavailableAws` when AWS STS can't be reached; from the
 *   provider
 */
export function awsCredentials(
  source: AwsCredentialSource,
  sts: AwsClientConfig,
): () => Promise<Credentials> {
  return async () => {
    try {
      return await providerOf(source, sts)();
    } catch (error) {
      throw credentialsError(error, source);
    }
  };
}

function providerOf({ base, assumeRole }: AwsCredentialSource, sts: AwsClientConfig): Provider {
  const provider = baseProvider(base, sts);
  if (assumeRole === undefined) return provider;
  return fromTemporaryCredentials({
    masterCredentials: provider,
    clientConfig: sts,
    params: {
      RoleArn: assumeRole.roleArn,
      RoleSessionName: sessionName,
      ...(assumeRole.externalId === undefined ? {} : { ExternalId: assumeRole.externalId }),
    },
  });
}

function baseProvider(base: AwsCredentialSource['base'], sts: AwsClientConfig): Provider {
  switch (base.type) {
    case 'default':
      return fromNodeProviderChain({ clientConfig: sts, ignoreCache: true });
    case 'profile':
      return fromIni({
        profile: base.profile,
        clientConfig: sts,
        ignoreCache: true,
        ...(base.file === undefined ? {} : { filepath: base.file }),
      });
    case 'web-identity':
      return fromTokenFile({
        roleArn: base.roleArn,
        webIdentityTokenFile: base.tokenFile,
        roleSessionName: sessionName,
        clientConfig: sts,
      });
  }
}

function credentialsError(error: unknown, { base, assumeRole }: AwsCredentialSource): KeyServiceError {
  const failure = awsFailure(error);
  if (failure.type === 'unreachable') {
    return new KeyServiceError(
      'unavailable',
      'UnavailableAws',
      `AWS credentials can't be had: ${failure.reason}`,
      "check that AWS STS, or this machine's metadata service, can be reached from here",
    );
  }
  const file = base.type === 'web-identity' ? base.tokenFile : undefined;
  const code = systemErrorCode(error);
  const why =
    failure.type === 'refused'
      ? `AWS STS refused (${failure.name}${failure.because})`
      : code === undefined || file === undefined
        ? 'none were found'
        : `${file} can't be read (${code})`;
  const role = assumeRole?.roleArn ?? (base.type === 'web-identity' ? base.roleArn : undefined);
  return new KeyServiceError(
    'denied',
    'AwsCredentials',
    `no AWS credentials from ${nameOf(base)}${role === undefined ? '' : ` for the role ${role}`}: ${why}`,
    failure.type === 'refused'
      ? "check the base's own credentials, and the trust policy of the role; new ones are used as soon as they are there"
      : 'put credentials there; they are used as soon as they are there',
  );
}

function nameOf(base: AwsCredentialSource['base']): string {
  switch (base.type) {
    case 'default':
      return "the SDK's default chain";
    case 'profile':
      return `the profile ${base.profile}${base.file === undefined ? '' : ` in ${base.file}`}`;
    case 'web-identity':
      return `the web identity token in ${base.tokenFile}`;
  }
}
