import type { AwsKmsRefusal } from './aws-kms-api.ts';
import { isMultiRegion } from './aws-kms-key-ref.ts';
import { KeyServiceError } from './key-service.ts';

/**
 * What it means that AWS KMS refused an operation on a key, and what to do.
 *
 * @param operation - `encrypt`, `decrypt` or `DescribeKey`
 * @param key - its ARN, or the alias that it was asked for by
 */
export function explainAwsKmsRefusal(
  operation: string,
  key: string,
  region: string,
  { awsName, because }: AwsKmsRefusal,
): KeyServiceError {
  if (awsName === 'NotFoundException') {
    return new KeyServiceError(
      'not-found',
      'AwsKmsKeyNotFound',
      `there is no key ${key} in ${region}`,
      isMultiRegion(key.split('/').at(-1) ?? '')
        ? 'check the Region: a multi-Region key is used in Regions that it was replicated to'
        : 'check account, Region and key; a deleted key never comes back, and nothing else opens what it sealed',
    );
  }
  if (awsName === 'AccessDeniedException') {
    const action = `kms:${operation.charAt(0).toUpperCase()}${operation.slice(1)}`;
    return new KeyServiceError(
      'denied',
      'AwsKmsPermissionDenied',
      `AWS KMS does not permit ${action} on ${key}${because}`,
      'permit kms:Encrypt, kms:Decrypt and kms:DescribeKey, in the policy of the identity and that of the key; another account needs both',
    );
  }
  return new KeyServiceError(
    'denied',
    'AwsKmsRefused',
    `AWS KMS answered ${awsName} to ${operation} with ${key}`,
    "look up the error in AWS's documentation, and the request in CloudTrail",
  );
}
