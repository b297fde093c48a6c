import { baseKeyId, keyIdOfGeneration } from '../plan/generation.ts';
import { type KeyService, type KeyVersion } from './key-service.ts';

/**
 * A key service whose key ids carry a generation, for keys that came back after they were left: nothing else tells A from A
 * after B. What another generation sealed opens, and any generation can be sealed under, for the key is the same.
 *
 * @param generation - of the current version's id; from the plugin's configuration, the same on every node; 1, the first, leaves
 *   the key ids as they are
 */
export function withGeneration(service: KeyService, generation: number): KeyService {
  const inner = ({ keyId, description }: KeyVersion): KeyVersion => ({
    keyId: baseKeyId(keyId),
    description,
  });
  return {
    current: async (signal) => {
      const version = await service.current(signal);
      if (generation === 1) return version;
      return {
        keyId: keyIdOfGeneration(version.keyId, generation),
        description: `${version.description}, generation ${generation}`,
      };
    },
    encrypt: (plaintext, version, signal) => service.encrypt(plaintext, inner(version), signal),
    decrypt: (ciphertext, keyId, signal) => service.decrypt(ciphertext, baseKeyId(keyId), signal),
    close: () => service.close(),
  };
}
