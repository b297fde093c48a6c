import type { KeyServiceErrorKind } from './key-service.ts';
import type { Pkcs11Mechanism } from './pkcs11-key-id.ts';

/** Which token, which key of it, and how it is used. */
export interface Pkcs11KeyOptions {
  /** The stable name of this HSM in key ids: no two may have the same, ever. No '/'. */
  readonly service: string;
  /** Absolute path of the vendor's PKCS#11 module, a shared library. */
  readonly module: string;
  /** Either is enough. */
  readonly token: { readonly label?: string; readonly serial?: string };
  /**
   * CKA_LABEL, CKA_ID (hex), or both. Keys with one label are versions of one key: the `id` says which of them seals, or
   * without it the highest does, and all of them open. With an `id` alone, that key does both.
   */
  readonly key: { readonly label?: string; readonly id?: string };
  readonly mechanism: Pkcs11Mechanism;
  /**
   * Who chooses the IVs of AES-GCM: the plugin, at random, or the token, which must then write them into the mechanism's
   * parameter (as AWS CloudHSM does). `Plugin` when absent.
   */
  readonly ivFrom?: 'Plugin' | 'Token';
}

/** What the parent asks of a child. The PIN goes this way and no other. */
export type Pkcs11Request =
  | { readonly type: 'open'; readonly options: Pkcs11KeyOptions; readonly pin: string }
  | { readonly type: 'current' }
  | { readonly type: 'encrypt'; readonly keyId: string; readonly bytes: Uint8Array }
  | { readonly type: 'decrypt'; readonly keyId: string; readonly bytes: Uint8Array };

export type Pkcs11Answer =
  | { readonly type: 'opened' }
  | { readonly type: 'current'; readonly keyId: string; readonly description: string }
  | { readonly type: 'bytes'; readonly bytes: Uint8Array }
  | { readonly type: 'failed'; readonly failure: Pkcs11Failure };

/** A KeyServiceError on its way through IPC. */
export interface Pkcs11Failure {
  readonly kind: KeyServiceErrorKind;
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
  /** The session is of no use any more: a new process may do what this one couldn't. */
  readonly sessionLost: boolean;
}
