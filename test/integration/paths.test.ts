import { through } from '../matrix/journey.ts';
import { describeJourney } from '../support/travels.ts';

describeJourney(
  'a cluster that moves between key services and Regions, back to a key in its file, and ends unencrypted',
  through('aescbc', 'hsm', 'vault', 'aws-kms', 'aws-kms-region', 'aescbc', 'identity'),
);
