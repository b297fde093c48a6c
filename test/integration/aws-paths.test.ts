import { through } from '../matrix/journey.ts';
import { describeJourney } from '../support/travels.ts';

// Also across Regions and accounts: from a key in another account to Vault is from AWS KMS to Vault.
describeJourney(
  'a cluster that moves to AWS KMS, from it, and within it',
  through(
    'aescbc',
    'aws-kms',
    'aws-kms-region',
    'aws-kms-account',
    'vault',
    'aws-kms',
    'hsm',
    'aws-kms',
    'aescbc',
  ),
);
