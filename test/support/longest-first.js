import { existsSync } from 'node:fs';
import { join } from 'node:path';
import Sequencer from '@jest/test-sequencer';

const INTEGRATION = join(import.meta.dirname, '../integration');

/** The integration tests that take minutes, the longest first. */
const LONGEST = [
  'paths',
  'known-faults',
  'rollback-reload',
  'faults',
  'etcd-cluster-engine',
  'fence',
  'etcd-cluster',
  'rollback',
  'storage-versions-native',
  'rotation',
  'etcd-engine',
  'migration-restart',
  'storage-version-migration',
  'migration-reload',
  'storage-versions-disagree',
  'plugin-outage',
  'server-identity',
  'bad-input',
  'refusing-objects',
  'temporal-faults',
  'expired-pages',
  'messages',
  'list-trap',
  'pause',
  'late-writes',
  'watch-cache-lag',
  'storage-versions',
  'plugin-killed',
  'etcd-defragment',
  'preflight',
  'storage-versions-encrypted',
].map((name) => join(INTEGRATION, `${name}.test.ts`));

/**
 * Starts the tests that take minutes before all others: one that comes last is waited for while the other workers of jest
 * have nothing to do. On a fresh checkout jest knows no durations, and takes a large file for a long test.
 */
export default class LongestFirst extends Sequencer {
  constructor(...settings) {
    super(...settings);
    const gone = LONGEST.filter((file) => !existsSync(file));
    if (gone.length > 0) throw new Error(`renamed, or no longer there: ${gone.join(', ')}`);
  }

  sort(tests) {
    return super.sort(tests).sort((one, other) => place(one) - place(other));
  }
}

/** Unit tests, which take seconds, fill the end. */
function place({ path }) {
  const listed = LONGEST.indexOf(path);
  if (listed >= 0) return listed;
  return path.startsWith(INTEGRATION) ? LONGEST.length : LONGEST.length + 1;
}
