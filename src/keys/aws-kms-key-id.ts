import { createHash } from 'node:crypto';
import { awsAliasPattern, awsKeyPattern } from './aws-kms-key-ref.ts';

/**
 * Which key of AWS KMS a key id means. No Region and no address is part of it: the replicas of a multi-Region key open
 * each other's ciphertexts, and an endpoint may move.
 */
export interface AwsKmsKeyId {
  /** The stable name the operator gave this use of AWS KMS. No '/'. */
  readonly service: string;
  /** The account that owns the key; 12 digits. */
  readonly account: string;
  /** The alias it was found by. A new point in time for each change of its target: A → B → A never ends at the first A's id. */
  readonly alias?: { readonly name: string; /** Unix milliseconds. */ readonly updatedAt: number };
  readonly key: string;
  /** Of the encryption context, see {@link contextFingerprint}; absent without one. */
  readonly context?: string;
  /**
   * AWS's id of the key material that seals (64 hexadecimal digits): another one after each rotation, so that a rotation
   * shows. Absent for keys of custom key stores, which don't rotate, and where AWS doesn't tell.
   */
  readonly material?: string;
}

const pattern = new RegExp(
  '^aws-kms:([^/]+)/([0-9]{12})' +
    `(?:/(${awsAliasPattern})@([1-9][0-9]{0,14}))?` +
    `/(${awsKeyPattern})` +
    '(?:/context=([0-9a-f]{16}))?' +
    '(?:/material=([0-9a-f]{64}))?$',
);

/** `aws-kms:<service>/<account>[/alias/<name>@<updated>]/<key>[/context=<fingerprint>][/material=<id>]` */
export function formatAwsKmsKeyId({ service, account, alias, key, context, material }: AwsKmsKeyId): string {
  return [
    `aws-kms:${service}`,
    account,
    ...(alias === undefined ? [] : [`${alias.name}@${alias.updatedAt}`]),
    key,
    ...(context === undefined ? [] : [`context=${context}`]),
    ...(material === undefined ? [] : [`material=${material}`]),
  ].join('/');
}

/** Reads a key id; `undefined` when it isn't one of AWS KMS's. */
export function parseAwsKmsKeyId(keyId: string): AwsKmsKeyId | undefined {
  const [, service, account, name, updatedAt, key, context, material] = pattern.exec(keyId) ?? [];
  if (service === undefined || account === undefined || key === undefined) return undefined;
  return {
    service,
    account,
    ...(name === undefined ? {} : { alias: { name, updatedAt: Number(updatedAt) } }),
    key,
    ...(context === undefined ? {} : { context }),
    ...(material === undefined ? {} : { material }),
  };
}

/**
 * What of an encryption context goes into key ids: a ciphertext opens with no other one, which makes it part of the key.
 *
 * @returns 16 hexadecimal digits; `undefined` for an empty context
 */
export function contextFingerprint(context: Readonly<Record<string, string>>): string | undefined {
  const pairs = Object.entries(context).sort(([a], [b]) => (a < b ? -1 : 1));
  if (pairs.length === 0) return undefined;
  return createHash('sha256').update(JSON.stringify(pairs)).digest('hex').slice(0, 16);
}
