import { through } from '../matrix/journey.ts';
import { describeJourney } from '../support/travels.ts';

describeJourney(
  'a cluster that moves to key services and back to a key in its file, and ends unencrypted',
  through('aescbc', 'aws-kms', 'aescbc', 'vault', 'hsm', 'aws-kms', 'vault', 'identity'),
);
