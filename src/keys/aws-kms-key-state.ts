import { type KeyMetadata } from '@aws-sdk/client-kms';
import { KeyServiceError } from './key-service.ts';

/** What of a key's metadata says whether it can be used. */
export type AwsKmsKeyState = Pick<
  KeyMetadata,
  'Arn' | 'KeyState' | 'DeletionDate' | 'PendingDeletionWindowInDays' | 'KeySpec' | 'KeyUsage' | 'Origin'
>;

/** Why a key can't be used now, and what to do about it; `undefined` when it can. */
export function whyUnusable(key: AwsKmsKeyState): KeyServiceError | undefined {
  const arn = key.Arn ?? 'the key';
  const denied = (code: string, message: string, remedy: string) =>
    new KeyServiceError('denied', code, `${arn} ${message}`, remedy);
  switch (key.KeyState) {
    case 'Enabled':
    // While its primary Region changes, a multi-Region key does all that is needed here.
    // falls through
    case 'Updating':
      return key.KeyUsage === 'ENCRYPT_DECRYPT' && key.KeySpec === 'SYMMETRIC_DEFAULT'
        ? undefined
        : denied(
            'AwsKmsKeyUnfit',
            `is of ${key.KeySpec ?? 'an unknown spec'} for ${key.KeyUsage ?? 'an unknown usage'}`,
            'use a symmetric key for encryption and decryption (SYMMETRIC_DEFAULT, ENCRYPT_DECRYPT)',
          );
    case 'Disabled':
      return denied('AwsKmsKeyDisabled', 'is disabled', `enable it: aws kms enable-key --key-id ${arn}`);
    case 'PendingDeletion':
    case 'PendingReplicaDeletion':
      return denied(
        'AwsKmsKeyPendingDeletion',
        `is about to be deleted, ${deletedWhen(key)}`,
        `before that: aws kms cancel-key-deletion --key-id ${arn}, then enable-key; afterwards nobody opens what it sealed`,
      );
    case 'PendingImport':
      return denied(
        'AwsKmsKeyPendingImport',
        'has no key material: it was never imported, was deleted, or has expired',
        'import the same key material again: other material is refused, and opens nothing',
      );
    case 'Unavailable':
      return new KeyServiceError(
        'unavailable',
        'AwsKmsKeyUnavailable',
        `${arn} is unavailable: its custom key store (${key.Origin ?? 'unknown'}) is not connected`,
        'connect the custom key store: aws kms connect-custom-key-store',
      );
    case 'Creating':
      return new KeyServiceError(
        'unavailable',
        'AwsKmsKeyUnavailable',
        `${arn} is still being made`,
        'wait until it is enabled',
      );
    default:
      return denied(
        'AwsKmsKeyUnfit',
        `is in a state that keyferry doesn't know (${String(key.KeyState).slice(0, 40)})`,
        "look up the state in AWS's documentation of key states",
      );
  }
}

function deletedWhen({ DeletionDate: date, PendingDeletionWindowInDays: days }: AwsKmsKeyState): string {
  if (date !== undefined) return `on ${date.toISOString()}`;
  return days === undefined ? 'on a date that AWS does not tell' : `${days} days after its last replica`;
}
