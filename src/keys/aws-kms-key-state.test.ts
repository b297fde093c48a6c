import { describe, expect, it } from '@jest/globals';
import { whyUnusable, type AwsKmsKeyState } from './aws-kms-key-state.ts';

const Arn = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const enabled: AwsKmsKeyState = {
  Arn,
  KeyState: 'Enabled',
  KeyUsage: 'ENCRYPT_DECRYPT',
  KeySpec: 'SYMMETRIC_DEFAULT',
};

describe('a key of AWS KMS', () => {
  it.each(['Enabled', 'Updating'] as const)('that is %s can be used', (KeyState) => {
    expect(whyUnusable({ ...enabled, KeyState })).toBeUndefined();
  });

  it.each([
    [{ KeyState: 'Disabled' }, 'AwsKmsKeyDisabled', /is disabled/, /enable-key/],
    [
      { KeyState: 'PendingDeletion', DeletionDate: new Date('2027-01-02T03:04:05Z') },
      'AwsKmsKeyPendingDeletion',
      /on 2027-01-02T03:04:05/,
      /cancel-key-deletion/,
    ],
    [
      { KeyState: 'PendingReplicaDeletion', PendingDeletionWindowInDays: 7 },
      'AwsKmsKeyPendingDeletion',
      /7 days after its last replica/,
      /cancel-key-deletion/,
    ],
    [{ KeyState: 'PendingImport' }, 'AwsKmsKeyPendingImport', /no key material/, /same key material/],
    [{ KeySpec: 'RSA_2048' }, 'AwsKmsKeyUnfit', /RSA_2048/, /SYMMETRIC_DEFAULT/],
    [{ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' }, 'AwsKmsKeyUnfit', /HMAC_256/, /symmetric/],
  ] as const)('%j needs somebody', (state, code, message, remedy) => {
    const error = whyUnusable({ ...enabled, ...state });
    expect(error).toMatchObject({ code, kind: 'denied', retryable: false });
    expect(error?.message).toMatch(message);
    expect(error?.message).toContain(Arn);
    expect(error?.remedy).toMatch(remedy);
  });

  it.each([{ KeyState: 'Unavailable', Origin: 'AWS_CLOUDHSM' }, { KeyState: 'Creating' }] as const)(
    '%j is to be asked again',
    (state) => {
      expect(whyUnusable({ ...enabled, ...state })).toMatchObject({
        code: 'AwsKmsKeyUnavailable',
        kind: 'unavailable',
        retryable: true,
      });
    },
  );
});
