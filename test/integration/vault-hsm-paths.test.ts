import { through } from '../matrix/journey.ts';
import { describeJourney } from '../support/travels.ts';

// From aescbc to each: between the two stands a way back, from the HSM to aescbc.
describeJourney(
  'a cluster that moves to Vault and to an HSM, and ends unencrypted',
  through('aescbc', 'vault', 'hsm', 'aescbc', 'hsm', 'vault', 'identity'),
);
