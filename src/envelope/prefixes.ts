import { type ConfiguredName, type EnvelopeTarget, type LocalProvider } from './types.ts';

/** Reserved by Kubernetes: every encrypted value starts with it, and identity reads none that does. */
export const encryptedPrefix = 'k8s:enc:';

/** The bytes before a value of this kms v2 provider. */
export function kmsV2Prefix(name: string): string {
  return `k8s:enc:kms:v2:${name}:`;
}

/** The bytes before a value of this provider and key; empty for identity. */
export function prefixOf(target: EnvelopeTarget | ConfiguredName): string {
  switch (target.type) {
    case 'identity':
      return '';
    case 'kms':
      return kmsV2Prefix(target.name);
    case 'kms-v1':
      return `k8s:enc:kms:v1:${target.name}:`;
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return `k8s:enc:${target.type}:v1:${target.keyName}:`;
  }
}

/** The bytes a local provider's value has after the prefix at least, and the multiple they come in. */
export const localBody: Readonly<
  Record<LocalProvider, { readonly least: number; readonly multiple: number }>
> = {
  // IV and one padded block.
  aescbc: { least: 32, multiple: 16 },
  // Nonce and tag.
  aesgcm: { least: 28, multiple: 1 },
  // Nonce and Poly1305 tag.
  secretbox: { least: 40, multiple: 1 },
};
