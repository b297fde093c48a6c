/** Providers whose keys lie in the file itself. */
export type LocalProviderType = 'aescbc' | 'aesgcm' | 'secretbox';

/** Names a provider that's in a file. */
export type ProviderRef =
  | { readonly type: 'identity' }
  | { readonly type: LocalProviderType; readonly keyName: string }
  /** `keyId` tells one version of the provider's key from the others, where both sides of a migration are one entry. */
  | { readonly type: 'kms'; readonly name: string; readonly keyId?: string };

/** A provider to put into a file. `secret` is base64, `timeout` a Go duration ("3s"); kms is always v2. */
export type ProviderEntry =
  | { readonly type: 'identity' }
  | { readonly type: LocalProviderType; readonly keyName: string; readonly secret: string }
  | { readonly type: 'kms'; readonly name: string; readonly endpoint: string; readonly timeout: string };

/** A provider to put into a file, its key named by the file on the node that it lies in: what may travel. */
export type ProviderReference =
  | Exclude<ProviderEntry, { readonly secret: string }>
  | { readonly type: LocalProviderType; readonly keyName: string; readonly secretFile: string };

/** What a file says of a provider, without key material. Key names are in the order of the file. */
export type ProviderSummary =
  | { readonly type: 'identity' }
  | { readonly type: LocalProviderType; readonly keyNames: readonly string[] }
  | {
      readonly type: 'kms';
      readonly name: string;
      readonly apiVersion: 'v1' | 'v2';
      readonly endpoint: string;
      /** As written in the file; absent means Kubernetes' default of 3s. */
      readonly timeout?: string;
    };

/** One element of the file's `resources`: which resources, and by which providers. */
export interface ConfigurationEntry {
  readonly resources: readonly string[];
  readonly providers: readonly ProviderSummary[];
}

/** A valid EncryptionConfiguration, without key material. */
export interface EncryptionConfiguration {
  readonly entries: readonly ConfigurationEntry[];
}

/**
 * What a server's file says of source and target, in the order of a migration: the target isn't there yet, can be
 * read, writes while the source can be read, stands without the source.
 */
export type Arrangement = 'source-only' | 'target-reads' | 'target-writes' | 'target-only';

/** The arrangements in the order of a migration. */
export const arrangements = [
  'source-only',
  'target-reads',
  'target-writes',
  'target-only',
] as const satisfies Arrangement[];

/** Moves resources ("secrets", "widgets.example.com") of one file from a provider to another. */
export interface ArrangementEdit {
  readonly resources: readonly string[];
  readonly source: ProviderRef;
  readonly target: ProviderEntry;
}

/** Something kube-apiserver would refuse (error), or take otherwise than it looks (warning). Holds no key material. */
export interface Problem {
  /** Where in the document: `resources[0].providers[1].kms.endpoint`; empty for the document itself. */
  readonly path: string;
  /** Counted from 1. */
  readonly line: number;
  readonly column: number;
  readonly severity: 'error' | 'warning';
  /** What is wrong, and why. */
  readonly message: string;
  readonly remedy: string;
}
