import { createHash } from 'node:crypto';

/** Which key version of which Vault a key id means. */
export interface VaultKeyId {
  /** The stable name the operator gave this Vault (and namespace); never an address, which may change. */
  readonly service: string;
  /** Mount path of the transit engine, without slashes at the ends. */
  readonly mount: string;
  readonly key: string;
  readonly version: number;
  /**
   * When Vault made this version, in Unix seconds, from the key's metadata. It tells a key from one of the same name made
   * after it was deleted: their versions count from 1 both.
   */
  readonly createdAt: number;
  /** Of the associated data, see {@link associatedDataFingerprint}; absent without any. */
  readonly associatedData?: string;
}

const pattern =
  /^vault-transit:([^/]+)\/(.+)\/([^/]+)\/v([1-9][0-9]{0,8})@([1-9][0-9]{0,11})(?:\/data=([0-9a-f]{16}))?$/;

/** `vault-transit:<service>/<mount>/<key>/v<version>@<created>[/data=<fingerprint>]` */
export function formatVaultKeyId(id: VaultKeyId): string {
  const data = id.associatedData === undefined ? '' : `/data=${id.associatedData}`;
  return `vault-transit:${id.service}/${id.mount}/${id.key}/v${id.version}@${id.createdAt}${data}`;
}

/** Reads a key id; `undefined` when it isn't one of Vault's. Service and key hold no '/', a mount may. */
export function parseVaultKeyId(keyId: string): VaultKeyId | undefined {
  const [, service, mount, key, version, createdAt, associatedData] = pattern.exec(keyId) ?? [];
  if (service === undefined || mount === undefined || key === undefined) return undefined;
  const id = { service, mount, key, version: Number(version), createdAt: Number(createdAt) };
  return associatedData === undefined ? id : { ...id, associatedData };
}

/** What of the associated data goes into key ids: a ciphertext opens with no other. @returns 16 hexadecimal digits */
export function associatedDataFingerprint(data: string): string {
  return createHash('sha256').update(data).digest('hex').slice(0, 16);
}

/** An earlier version by number and by time. (By time alone two Vault nodes may disagree; a remade key counts anew.) */
export function isBefore(a: VaultKeyId, b: VaultKeyId): boolean {
  const differs = a.version !== b.version || a.createdAt !== b.createdAt;
  return differs && a.version <= b.version && a.createdAt <= b.createdAt;
}
