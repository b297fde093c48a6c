import {
  DecryptCommand,
  DescribeKeyCommand,
  EncryptCommand,
  KMSClient,
  ListAliasesCommand,
  type KeyMetadata,
} from '@aws-sdk/client-kms';
import { awsCredentials, type AwsClientConfig, type AwsCredentialSource } from './aws-credentials.ts';
import { awsFailure, type AwsFailure } from './aws-errors.ts';
import { withinDeadline } from './deadline.ts';
import { KeyServiceError } from './key-service.ts';

/** How AWS KMS is reached. */
export interface AwsKmsConnection {
  readonly region: string;
  /** Instead of AWS's own address of KMS: `https://vpce-….kms.eu-central-1.vpce.amazonaws.com`. */
  readonly endpoint?: string;
  /** The same for AWS STS, where roles are assumed. */
  readonly stsEndpoint?: string;
  readonly credentials: AwsCredentialSource;
  /** `adaptive` slows down where AWS throttles. */
  readonly retryMode: 'standard' | 'adaptive';
  /** Attempts in all, 1 and more. */
  readonly maxAttempts: number;
  /** Of one attempt, in milliseconds. */
  readonly timeoutMs: number;
}

/** AWS KMS answered no, and would again. */
export class AwsKmsRefusal extends Error {
  override readonly name = 'AwsKmsRefusal';
  /** AWS's own name of the error: `DisabledException`. */
  readonly awsName: string;
  /** Empty, or a comma and which policy denies it. */
  readonly because: string;

  constructor(awsName: string, because: string) {
    super(`AWS KMS answered ${awsName}${because}`);
    this.awsName = awsName;
    this.because = because;
  }
}

/** Answers about the credentials themselves: with new ones it may be another. */
const aboutCredentials = new Set([
  'ExpiredTokenException',
  'ExpiredToken',
  'UnrecognizedClientException',
  'InvalidClientTokenId',
  'InvalidSignatureException',
  'SignatureDoesNotMatch',
  'IncompleteSignature',
  'MissingAuthenticationToken',
  'MissingAuthenticationTokenException',
]);

/**
 * The four calls of AWS KMS that a key service needs, with the SDK's retries, a timeout for each attempt and an abort
 * signal. Credentials that AWS no longer takes are taken anew, once a call.
 *
 * Errors of the SDK carry the request: none leaves this class, not even as a cause.
 */
export class AwsKmsApi {
  readonly #client: KMSClient;
  readonly #region: string;
  #closed = false;
  #renewing: Promise<unknown> | undefined;

  constructor(connection: AwsKmsConnection) {
    const { region, endpoint, stsEndpoint, credentials, retryMode, maxAttempts, timeoutMs } = connection;
    const common: AwsClientConfig = {
      region,
      retryMode,
      maxAttempts,
      requestHandler: {
        connectionTimeout: timeoutMs,
        requestTimeout: timeoutMs,
        throwOnRequestTimeout: true,
      },
    };
    this.#region = region;
    this.#client = new KMSClient({
      ...common,
      ...(endpoint === undefined ? {} : { endpoint }),
      credentials: awsCredentials(credentials, {
        ...common,
        ...(stsEndpoint === undefined ? {} : { endpoint: stsEndpoint }),
      }),
    });
  }

  /** @param key - ARN, id or alias */
  async describe(key: string, signal?: AbortSignal): Promise<KeyMetadata> {
    const { KeyMetadata: metadata } = await this.#send(
      (options) => this.#client.send(new DescribeKeyCommand({ KeyId: key }), options),
      signal,
    );
    if (metadata === undefined) throw unexpected('DescribeKey without metadata');
    return metadata;
  }

  /** When an alias was last pointed somewhere, in Unix milliseconds; `undefined` when it doesn't point at this key. */
  async aliasUpdatedAt(alias: string, keyArn: string, signal?: AbortSignal): Promise<number | undefined> {
    const { Aliases: aliases } = await this.#send(
      (options) => this.#client.send(new ListAliasesCommand({ KeyId: keyArn, Limit: 100 }), options),
      signal,
    );
    const entry = aliases?.find(({ AliasName: name }) => name === alias);
    return (entry?.LastUpdatedDate ?? entry?.CreationDate)?.getTime();
  }

  async encrypt(
    keyArn: string,
    plaintext: Buffer,
    context: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<Buffer> {
    const command = new EncryptCommand({ KeyId: keyArn, Plaintext: plaintext, EncryptionContext: context });
    const { CiphertextBlob: ciphertext } = await this.#send(
      (options) => this.#client.send(command, options),
      signal,
    );
    if (ciphertext === undefined) throw unexpected('Encrypt without a ciphertext');
    return Buffer.from(ciphertext);
  }

  /** @returns also AWS's id of the key material that the ciphertext is of, where AWS tells it */
  async decrypt(
    keyArn: string,
    ciphertext: Buffer,
    context: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<{ plaintext: Buffer; material: string | undefined }> {
    const command = new DecryptCommand({
      KeyId: keyArn,
      CiphertextBlob: ciphertext,
      EncryptionContext: context,
    });
    const answer = await this.#send((options) => this.#client.send(command, options), signal);
    if (answer.Plaintext === undefined) throw unexpected('Decrypt without a plaintext');
    if (answer.KeyId !== keyArn) throw unexpected('Decrypt with another key than the one that was named');
    return { plaintext: Buffer.from(answer.Plaintext), material: answer.KeyMaterialId };
  }

  close(): void {
    this.#closed = true;
    this.#client.destroy();
  }

  /** The error of a call whose signal was aborted. */
  givenUp(): KeyServiceError {
    return new KeyServiceError(
      'timeout',
      'TimeoutAwsKms',
      `AWS KMS in ${this.#region} did not answer within the caller's deadline`,
      'check that AWS KMS can be reached from here, and how long it takes',
    );
  }

  /** @throws AwsKmsRefusal; KeyServiceError of {@link awsCredentials}, `UnavailableAwsKms`, `TimeoutAwsKms` */
  async #send<T>(
    call: (options: { abortSignal?: AbortSignal }) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    if (this.#closed) {
      throw new KeyServiceError(
        'unavailable',
        'UnavailableAwsKms',
        'the key service is closed',
        'start it again',
      );
    }
    const options = signal === undefined ? {} : { abortSignal: signal };
    const attempt = async () => {
      try {
        return await call(options);
      } catch (error) {
        if (!isAboutCredentials(error)) throw error;
        this.#renewing ??= this.#client.config
          .credentials({ forceRefresh: true })
          .finally(() => (this.#renewing = undefined));
        await this.#renewing;
        return await call(options);
      }
    };
    try {
      // The SDK's pauses between attempts, and the taking of credentials, don't end with the signal.
      return await withinDeadline(attempt(), signal, () => this.givenUp());
    } catch (error) {
      throw error instanceof KeyServiceError ? error : this.#errorOf(awsFailure(error));
    }
  }

  #errorOf(failure: AwsFailure): KeyServiceError | AwsKmsRefusal {
    switch (failure.type) {
      case 'aborted':
        return this.givenUp();
      case 'refused':
        return aboutCredentials.has(failure.name)
          ? new KeyServiceError(
              'denied',
              'AwsCredentials',
              `AWS KMS does not take the credentials (${failure.name}), also taken anew`,
              'put valid credentials where these come from; they are used as soon as they are there',
            )
          : new AwsKmsRefusal(failure.name, failure.because);
      case 'unreachable':
        return new KeyServiceError(
          'unavailable',
          'UnavailableAwsKms',
          `AWS KMS in ${this.#region} is not available: ${failure.reason}`,
          'check that AWS KMS can be reached from here, and its quotas',
        );
      case 'other':
        return unexpected(failure.name);
    }
  }
}

function isAboutCredentials(error: unknown): boolean {
  const failure = awsFailure(error);
  return failure.type === 'refused' && aboutCredentials.has(failure.name);
}

function unexpected(how: string): KeyServiceError {
  return new KeyServiceError(
    'unavailable',
    'AwsKmsAnswerUnexpected',
    `what answers in AWS KMS's place answers otherwise than AWS KMS does (${how})`,
    'check the endpoint; a proxy in between may answer for AWS',
  );
}
