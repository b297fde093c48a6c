import { through } from '../matrix/journey.ts';
import { describeJourney } from '../support/travels.ts';

describeJourney(
  'a cluster that moves between key services, Regions and accounts',
  through('aescbc', 'hsm', 'vault', 'aws-kms', 'aws-kms-region', 'aws-kms-account', 'hsm'),
);
