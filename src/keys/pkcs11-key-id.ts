/** How a key of a token encrypts. Part of the key id, for what one of them sealed no other opens. */
export const pkcs11Mechanisms = ['AES-GCM', 'RSA-OAEP-SHA256', 'RSA-OAEP-SHA1'] as const;
export type Pkcs11Mechanism = (typeof pkcs11Mechanisms)[number];

/** Which key of which token a key id means. */
export interface Pkcs11KeyId {
  /** The stable name the operator gave this HSM; a token's label or slot may change. */
  readonly service: string;
  /** The key's CKA_ID, in lower-case hex. */
  readonly id: string;
  readonly mechanism: Pkcs11Mechanism;
  /**
   * What tells the key from another that was given the same CKA_ID, equal on every token that holds a copy of the key:
   * `spki-` and the SHA-256 of an RSA key's SubjectPublicKeyInfo, or `kcv-` and the check value of an AES key (3 bytes, as
   * PKCS#11 defines CKA_CHECK_VALUE); all in hex. Where a token tells no check value, `serial-` and the token's serial.
   */
  readonly fingerprint: string;
}

const pattern = new RegExp(
  `^pkcs11:([^/]+)/((?:[0-9a-f]{2})+)/(${pkcs11Mechanisms.join('|')})@((?:spki|kcv|serial)-[^/@]+)$`,
);

/** The key id that Kubernetes stores with each value: `pkcs11:<service>/<CKA_ID>/<mechanism>@<fingerprint>`. */
export function formatPkcs11KeyId({ service, id, mechanism, fingerprint }: Pkcs11KeyId): string {
  return `pkcs11:${service}/${id}/${mechanism}@${fingerprint}`;
}

/** Reads a key id; `undefined` when it isn't one of a PKCS#11 key. */
export function parsePkcs11KeyId(keyId: string): Pkcs11KeyId | undefined {
  const [, service, id, mechanism, fingerprint] = pattern.exec(keyId) ?? [];
  if (service === undefined || id === undefined || fingerprint === undefined) return undefined;
  const known = pkcs11Mechanisms.find((one) => one === mechanism);
  return known === undefined ? undefined : { service, id, mechanism: known, fingerprint };
}
