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
}

const pattern = /^vault-transit:([^/]+)\/(.+)\/([^/]+)\/v([1-9][0-9]{0,8})@([1-9][0-9]{0,11})$/;

/** The key id that Kubernetes stores with each value: `vault-transit:<service>/<mount>/<key>/v<version>@<created>`. */
export function formatVaultKeyId(id: VaultKeyId): string {
  return `vault-transit:${id.service}/${id.mount}/${id.key}/v${id.version}@${id.createdAt}`;
}

/** Reads a key id; `undefined` when it isn't one of Vault's. Service and key hold no '/', a mount may. */
export function parseVaultKeyId(keyId: string): VaultKeyId | undefined {
  const [, service, mount, key, version, createdAt] = pattern.exec(keyId) ?? [];
  if (service === undefined || mount === undefined || key === undefined) return undefined;
  return { service, mount, key, version: Number(version), createdAt: Number(createdAt) };
}
