import type { KeyMetadata } from '@aws-sdk/client-kms';
import { AwsKmsRefusal, type AwsKmsApi } from './aws-kms-api.ts';
import {
  formatAwsKmsKeyArn,
  parseAwsKmsKeyRef,
  type AwsKmsAlias,
  type AwsKmsKeyArn,
  type AwsKmsKeyRef,
} from './aws-kms-key-ref.ts';
import { whyUnusable } from './aws-kms-key-state.ts';
import { explainAwsKmsRefusal } from './aws-kms-refusal.ts';
import { KeyServiceError } from './key-service.ts';

/** A usable key, as AWS KMS tells of it. */
export interface AwsKmsKeyFacts {
  readonly arn: AwsKmsKeyArn;
  readonly metadata: KeyMetadata;
  /** Since when the alias leads to it, in Unix milliseconds; absent for a key that is named by its ARN. */
  readonly aliasUpdatedAt?: number;
}

type AliasFacts = Required<AwsKmsKeyFacts>;

/**
 * Reads what AWS KMS tells of the configured key, by one remote call while nothing changes.
 *
 * An alias takes two questions: DescribeKey tells where it leads, and the key's state and material; ListAliases since when
 * it leads there, without which one that was pointed away and back between two looks would look untouched here, and have
 * another key id on a node that looked in between. They take turns. Both see an alias that leads elsewhere; what only one of
 * them sees is seen at the second look, at the latest. Whatever is found changed, or fails, is asked for anew as a whole.
 */
export class AwsKmsKeyReader {
  readonly #api: AwsKmsApi;
  readonly #key: AwsKmsKeyRef;
  readonly #region: string;
  #known: AliasFacts | undefined;
  #describedLast = false;

  /** @param region - of the connection: a multi-Region key is used through its replica there */
  constructor(api: AwsKmsApi, key: AwsKmsKeyRef, region: string) {
    this.#api = api;
    this.#key = key;
    this.#region = region;
  }

  /** @throws KeyServiceError why the key can't be used, or told of */
  async read(): Promise<AwsKmsKeyFacts> {
    if (this.#key.type === 'key') {
      const arn = { ...this.#key, region: this.#region };
      return { arn, metadata: await this.#describe(formatAwsKmsKeyArn(arn)) };
    }
    const known = this.#known;
    this.forget();
    const unchanged = known === undefined ? undefined : await this.#unchanged(this.#key, known);
    this.#known = unchanged ?? (await this.#whole(this.#key));
    return this.#known;
  }

  /** The next read asks all there is to ask. */
  forget(): void {
    this.#known = undefined;
  }

  /** What was known, as one of the two questions in its turn confirms it. */
  async #unchanged(alias: AwsKmsAlias, known: AliasFacts): Promise<AliasFacts | undefined> {
    this.#describedLast = !this.#describedLast;
    if (!this.#describedLast) {
      const updatedAt = await this.#updatedAt(alias, known.arn);
      return updatedAt === known.aliasUpdatedAt ? known : undefined;
    }
    const { arn, metadata } = await this.#follow(alias);
    return formatAwsKmsKeyArn(arn) === formatAwsKmsKeyArn(known.arn) ? { ...known, metadata } : undefined;
  }

  async #whole(alias: AwsKmsAlias): Promise<AliasFacts> {
    // Between the two questions the alias may be pointed elsewhere: then they are asked again.
    for (let attempt = 0; attempt < 3; attempt++) {
      const { arn, metadata } = await this.#follow(alias);
      const aliasUpdatedAt = await this.#updatedAt(alias, arn);
      this.#describedLast = true;
      if (aliasUpdatedAt !== undefined) return { arn, metadata, aliasUpdatedAt };
    }
    throw new KeyServiceError(
      'unavailable',
      'AwsKmsAliasUnsettled',
      `${alias.name} leads to a key that doesn't list it`,
      'wait: a changed alias takes up to some minutes to be the same everywhere',
    );
  }

  async #follow({ name }: AwsKmsAlias): Promise<{ arn: AwsKmsKeyArn; metadata: KeyMetadata }> {
    const metadata = await this.#describe(name);
    const arn = parseAwsKmsKeyRef(metadata.Arn ?? '');
    if (arn?.type !== 'key') throw unexpectedArn();
    return { arn, metadata };
  }

  async #describe(key: string): Promise<KeyMetadata> {
    let metadata: KeyMetadata;
    try {
      metadata = await this.#api.describe(key);
    } catch (error) {
      throw error instanceof AwsKmsRefusal
        ? explainAwsKmsRefusal('DescribeKey', key, this.#region, error)
        : error;
    }
    const unusable = whyUnusable(metadata);
    if (unusable !== undefined) throw unusable;
    return metadata;
  }

  async #updatedAt({ name }: AwsKmsAlias, arn: AwsKmsKeyArn): Promise<number | undefined> {
    try {
      return await this.#api.aliasUpdatedAt(name, formatAwsKmsKeyArn(arn));
    } catch (error) {
      if (!(error instanceof AwsKmsRefusal)) throw error;
      // The key is gone: then the alias leads elsewhere, or nowhere, which DescribeKey tells.
      if (error.awsName === 'NotFoundException') return undefined;
      throw new KeyServiceError(
        'denied',
        'AwsKmsPermissionDenied',
        `AWS KMS does not permit kms:ListAliases: ${error.awsName}${error.because}`,
        'permit kms:ListAliases (on "*"): it tells since when the alias leads to its key; or name the key by its ARN',
      );
    }
  }
}

function unexpectedArn(): KeyServiceError {
  return new KeyServiceError(
    'unavailable',
    'AwsKmsAnswerUnexpected',
    'DescribeKey answered without the ARN of a key',
    'check the endpoint; a proxy in between may answer for AWS',
  );
}
