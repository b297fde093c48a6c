import type { KmsConnector } from '../encryption-config/envelope-chain.ts';
import type { KmsV1Deks, KmsV2DekSources } from '../envelope/providers.ts';
import { KeyferryError } from '../errors.ts';
import { type EscrowIdentities } from './escrow.ts';

/**
 * Opens the values of kms entries with offline identities in the place of their plugins, which are asked for nothing: their
 * key service may be lost for good. All it opens counts as stale, for it shall be sealed under another key.
 */
export class EscrowDekSources implements KmsConnector {
  readonly #identities: EscrowIdentities;

  constructor(identities: EscrowIdentities) {
    this.#identities = identities;
  }

  v1(): KmsV1Deks {
    return { decrypt: () => Promise.reject(noEscrow('a value of kms v1 carries no escrow')) };
  }

  v2(): KmsV2DekSources {
    return {
      decrypt: async ({ encryptedDekSource, keyId, annotations }) =>
        await this.#identities.open({ ciphertext: encryptedDekSource, keyId, annotations }),
      keyId: () => Promise.resolve(''),
      writer: () => Promise.reject(noEscrow('an escrow opens, it does not seal')),
    };
  }

  close(): void {
    this.#identities.close();
  }
}

function noEscrow(message: string): KeyferryError {
  return new KeyferryError('EscrowMissing', message, { remedy: 'use its key service, by its plugin' });
}
