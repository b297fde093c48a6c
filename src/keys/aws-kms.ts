import { AwsKmsApi, AwsKmsRefusal, type AwsKmsConnection } from './aws-kms-api.ts';
import {
  contextFingerprint,
  formatAwsKmsKeyId,
  parseAwsKmsKeyId,
  type AwsKmsKeyId,
} from './aws-kms-key-id.ts';
import { AwsKmsKeyReader } from './aws-kms-key-reader.ts';
import { formatAwsKmsKeyArn, type AwsKmsKeyArn, type AwsKmsKeyRef } from './aws-kms-key-ref.ts';
import { whyUnusable } from './aws-kms-key-state.ts';
import { explainAwsKmsRefusal } from './aws-kms-refusal.ts';
import { CurrentVersion } from './current-version.ts';
import { KeyServiceError, type KeyService, type KeyVersion } from './key-service.ts';

/** A key of AWS KMS. */
export interface AwsKmsOptions extends AwsKmsConnection {
  /** The stable name of this use of AWS KMS in key ids. No '/'. */
  readonly service: string;
  /** A key of another Region than the connection's is used through its replica there: it must be a multi-Region key. */
  readonly key: AwsKmsKeyRef;
  /** Bound to each ciphertext, which opens with exactly the same only. AWS logs it: no secrets. */
  readonly encryptionContext: Readonly<Record<string, string>>;
}

/** AWS KMS takes no longer ciphertext (Decrypt, `CiphertextBlob`). In bytes. */
const longestCiphertext = 6144;

/**
 * AWS KMS as a key service. What it encrypts is AWS's own ciphertext, so that `aws kms decrypt` opens it too.
 *
 * AWS seals with whatever material a key has at that moment, and doesn't say which: a rotation can't be held back. So each
 * ciphertext is opened once before it is handed out: that tells its material, and that it opens at all. An id that names
 * other material is refused, and the new one is what {@link current} tells next, even where DescribeKey still lags. To
 * open, the material in an id doesn't count: AWS keeps all that a key ever had.
 */
export class AwsKmsKeyService implements KeyService {
  readonly #options: AwsKmsOptions;
  readonly #api: AwsKmsApi;
  readonly #reader: AwsKmsKeyReader;
  readonly #current: CurrentVersion;
  readonly #context: string | undefined;
  #newest: AwsKmsKeyId | undefined;
  /** Key ids that were current once. AWS answers from many machines: one that lags must not bring them back. */
  readonly #left = new Set<string>();
  /** Where an alias leads, as seen last. */
  #target: AwsKmsKeyArn | undefined;

  constructor(options: AwsKmsOptions) {
    this.#options = options;
    this.#api = new AwsKmsApi(options);
    this.#reader = new AwsKmsKeyReader(this.#api, options.key, options.region);
    this.#context = contextFingerprint(options.encryptionContext);
    this.#current = new CurrentVersion(
      () => this.#readCurrent(),
      () => this.#api.givenUp(),
    );
    if (options.key.type === 'key') this.#target = { ...options.key, region: options.region };
  }

  async current(signal?: AbortSignal): Promise<KeyVersion> {
    return await this.#current.get(signal);
  }

  async encrypt(plaintext: Buffer, version: KeyVersion, signal?: AbortSignal): Promise<Buffer> {
    const { id, arn } = await this.#own(version.keyId, signal);
    const context = this.#options.encryptionContext;
    try {
      const ciphertext = await this.#api.encrypt(arn, plaintext, context, signal);
      const opened = await this.#api.decrypt(arn, ciphertext, context, signal);
      if (opened.material !== undefined && id.material !== undefined && opened.material !== id.material) {
        throw this.#rotated(id, opened.material);
      }
      if (opened.plaintext.equals(plaintext)) return ciphertext;
    } catch (error) {
      throw await this.#explain(error, 'encrypt', arn, signal);
    }
    throw new KeyServiceError(
      'unavailable',
      'AwsKmsAnswerUnexpected',
      'what AWS KMS encrypted it did not decrypt to the same',
      'check the endpoint: this is not AWS KMS',
    );
  }

  async decrypt(ciphertext: Buffer, keyId: string, signal?: AbortSignal): Promise<Buffer> {
    const { arn } = await this.#own(keyId, signal);
    if (ciphertext.length === 0 || ciphertext.length > longestCiphertext) throw notOpened();
    try {
      const context = this.#options.encryptionContext;
      return (await this.#api.decrypt(arn, ciphertext, context, signal)).plaintext;
    } catch (error) {
      throw await this.#explain(error, 'decrypt', arn, signal);
    }
  }

  close(): Promise<void> {
    this.#current.forget();
    this.#api.close();
    return Promise.resolve();
  }

  async #readCurrent(): Promise<KeyVersion> {
    const { metadata, arn, aliasUpdatedAt } = await this.#reader.read();
    this.#target = arn;
    const { service, key: ref } = this.#options;
    const id = this.#adopt({
      service,
      account: arn.account,
      ...(ref.type === 'key' || aliasUpdatedAt === undefined
        ? {}
        : { alias: { name: ref.name, updatedAt: aliasUpdatedAt } }),
      key: arn.key,
      ...(this.#context === undefined ? {} : { context: this.#context }),
      ...(metadata.CurrentKeyMaterialId === undefined ? {} : { material: metadata.CurrentKeyMaterialId }),
    });
    const since = id.alias === undefined ? '' : `, ${id.alias.name} since ${iso(id.alias.updatedAt)}`;
    const material = id.material === undefined ? '' : `, material ${id.material.slice(0, 8)}…`;
    return {
      keyId: formatAwsKmsKeyId(id),
      description: `${id.key} of account ${id.account}, used in ${arn.region}${since}${material}`,
    };
  }

  /** Something has changed, or may have: the next caller of {@link current} asks AWS for all of it. */
  #forget(): void {
    this.#reader.forget();
    this.#current.forget();
  }

  /** The newest id: this one, unless it was left before, or is of an earlier state of the alias. */
  #adopt(id: AwsKmsKeyId): AwsKmsKeyId {
    const newest = this.#newest;
    if (newest !== undefined) {
      if (this.#left.has(formatAwsKmsKeyId(id))) return newest;
      if ((id.alias?.updatedAt ?? 0) < (newest.alias?.updatedAt ?? 0)) return newest;
      if (formatAwsKmsKeyId(newest) !== formatAwsKmsKeyId(id)) this.#left.add(formatAwsKmsKeyId(newest));
    }
    this.#newest = id;
    return id;
  }

  /** AWS sealed with other material than the id names: the key was rotated, or a machine of AWS's lags. */
  #rotated(id: AwsKmsKeyId, material: string): KeyServiceError {
    this.#forget();
    const newest = this.#newest;
    if (newest !== undefined && formatAwsKmsKeyId(newest) === formatAwsKmsKeyId(id)) {
      this.#adopt({ ...newest, material });
    }
    return new KeyServiceError(
      'wrong-key',
      'AwsKmsKeyRotated',
      `the key ${id.key} was rotated: AWS KMS no longer encrypts with material ${id.material?.slice(0, 8) ?? ''}…`,
      'encrypt again with the current version; what the old material sealed still opens',
    );
  }

  /** The key that an id means, if it is this service's: the configured one, or one the configured alias led to. */
  async #own(keyId: string, signal?: AbortSignal): Promise<{ id: AwsKmsKeyId; arn: string }> {
    const id = parseAwsKmsKeyId(keyId);
    const { service, key: ref } = this.#options;
    if (id?.service !== service) throw this.#wrongKey(keyId);
    if (id.context !== this.#context) {
      throw new KeyServiceError(
        'wrong-key',
        'AwsKmsContextDiffers',
        `the key id is of another encryption context than the one configured for ${service}`,
        'configure the encryption context that this was sealed with: AWS KMS opens it with no other',
      );
    }
    if (this.#target === undefined) await this.#current.get(signal);
    const target = this.#target;
    const sameKey = target?.key === id.key;
    const sameAlias = ref.type === 'alias' && id.alias?.name === ref.name;
    if (target === undefined || target.account !== id.account || !(sameKey || sameAlias)) {
      throw this.#wrongKey(keyId);
    }
    return { id, arn: formatAwsKmsKeyArn({ ...target, key: id.key }) };
  }

  #wrongKey(keyId: string): KeyServiceError {
    return new KeyServiceError(
      'wrong-key',
      'WrongKeyId',
      `the key id ${JSON.stringify(keyId.slice(0, 300))} is not of ${this.#options.service}`,
      'check that the EncryptionConfiguration names the plugin of the key service that sealed this',
    );
  }

  async #explain(
    error: unknown,
    operation: 'encrypt' | 'decrypt',
    arn: string,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    if (!(error instanceof AwsKmsRefusal)) return error;
    switch (error.awsName) {
      case 'InvalidCiphertextException':
        return notOpened();
      case 'IncorrectKeyException':
        return new KeyServiceError(
          'wrong-key',
          'AwsKmsWrongKey',
          `the ciphertext is of another key than ${arn}`,
          'the value was damaged, or another key sealed it',
        );
      case 'DisabledException':
      case 'KMSInvalidStateException': {
        this.#forget();
        const unusable = whyUnusable(await this.#api.describe(arn, signal));
        return unusable ?? this.#refused(operation, arn, error);
      }
      default:
        this.#forget();
        return this.#refused(operation, arn, error);
    }
  }

  #refused(operation: string, key: string, refusal: AwsKmsRefusal): KeyServiceError {
    return explainAwsKmsRefusal(operation, key, this.#options.region, refusal);
  }
}

function notOpened(): KeyServiceError {
  return new KeyServiceError(
    'invalid',
    'CiphertextInvalid',
    'AWS KMS does not open this ciphertext',
    'the value was damaged, or another key service or encryption context sealed it',
  );
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
