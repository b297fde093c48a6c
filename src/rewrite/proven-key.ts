import { hashInMetrics } from '../cluster/metric-hash.ts';
import type { KmsConnector } from '../encryption-config/index.ts';
import { KeyferryError } from '../errors.ts';
import type { SealingKey } from '../plan/watch.ts';

/**
 * Plugins as they are, but nothing is sealed under another key id than API servers were proven to seal with: they might not
 * open it, and would rewrite it again.
 *
 * @param proven - absent where what API servers seal with has no key id: then no plugin seals
 * @throws KeyferryError `UnprovenKeyId`, retryable, when a value is to be sealed under another
 */
export function sealingOnlyUnder(proven: SealingKey | undefined, plugins: KmsConnector): KmsConnector {
  return {
    v1: (entry) => plugins.v1(entry),
    v2: (entry) => {
      const sources = plugins.v2(entry);
      return {
        decrypt: (object) => sources.decrypt(object),
        keyId: () => sources.keyId(),
        writer: async () => {
          const seed = await sources.writer();
          if (proven?.provider === entry.name && proven.keyIdHash === hashInMetrics(seed.keyId)) return seed;
          throw new KeyferryError(
            'UnprovenKeyId',
            `the plugin of kms ${JSON.stringify(entry.name)} seals under the key id ${JSON.stringify(seed.keyId)}, which API servers weren't proven to seal with`,
            {
              remedy: 'have every plugin announce one key id; keyferry proves it anew and goes on',
              retryable: true,
            },
          );
        },
      };
    },
  };
}
