import { KeyServiceError, type KeyService } from './key-service.ts';

/** A call to a key service and what came of it: `ok`, the kind of its error, or `defect`. */
export type OnKeyServiceCall = (
  call: 'current' | 'encrypt' | 'decrypt',
  outcome: string,
  seconds: number,
) => void;

/** A key service that tells of each call to it. */
export function observed(service: KeyService, onCall: OnKeyServiceCall): KeyService {
  const told = async <T>(call: Parameters<OnKeyServiceCall>[0], work: Promise<T>): Promise<T> => {
    const began = performance.now();
    const tell = (outcome: string) => onCall(call, outcome, (performance.now() - began) / 1_000);
    try {
      const result = await work;
      tell('ok');
      return result;
    } catch (error) {
      tell(error instanceof KeyServiceError ? error.kind : 'defect');
      throw error;
    }
  };
  return {
    current: (signal) => told('current', service.current(signal)),
    encrypt: (plaintext, version, signal) => told('encrypt', service.encrypt(plaintext, version, signal)),
    decrypt: (ciphertext, keyId, signal) => told('decrypt', service.decrypt(ciphertext, keyId, signal)),
    close: () => service.close(),
  };
}
