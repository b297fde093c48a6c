import type { Node, YAMLMap, YAMLSeq } from 'yaml';
import type { LocalProviderType, ProviderRef, ProviderSummary } from './types.ts';

/*
 * The file as it was decoded: with key material and with the nodes it came from, so never handed out of this room.
 * What is missing or of the wrong type is empty here; decoding has told of it.
 */

export interface Field {
  readonly value: string;
  /** Offset in the text: of the value, or of the parent where the field is missing. */
  readonly at: number;
  readonly path: string;
  /** Of the wrong type, which has been told: nothing more to say about the value. */
  readonly broken: boolean;
}

export interface KeyModel {
  readonly name: Field;
  readonly secret: Field;
}

export interface KmsModel {
  readonly apiVersion: Field;
  readonly name: Field;
  readonly endpoint: Field;
  readonly timeout: Field | undefined;
  readonly cacheSize: { readonly value: number; readonly at: number; readonly path: string } | undefined;
}

interface Located {
  readonly at: number;
  readonly path: string;
  /** How many provider types stand in this element: exactly one is right. */
  readonly typesFound: number;
}

export interface LocalProviderModel extends Located {
  readonly type: LocalProviderType;
  readonly keys: readonly KeyModel[];
  readonly keysNode: YAMLSeq | undefined;
}

export type ProviderModel =
  | (Located & { readonly type: 'identity' })
  | (Located & { readonly type: 'none' })
  | LocalProviderModel
  | (Located & { readonly type: 'kms'; readonly kms: KmsModel });

export interface EntryModel {
  readonly at: number;
  readonly path: string;
  readonly resources: readonly Field[];
  readonly resourcesNode: YAMLSeq | undefined;
  readonly providers: readonly ProviderModel[];
  readonly providersNode: YAMLSeq | undefined;
  readonly node: YAMLMap | undefined;
}

export interface FileModel {
  readonly at: number;
  readonly entries: readonly EntryModel[];
  readonly entriesNode: YAMLSeq | undefined;
  /** Aliases or merge keys: one piece of text stands for several places, so it can't be edited by position. */
  readonly aliased: Node | undefined;
}

/** What may be said of a provider. `none` (an invalid element) never reaches a valid configuration. */
export function summaryOf(provider: ProviderModel): ProviderSummary {
  switch (provider.type) {
    case 'identity':
      return { type: 'identity' };
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return { type: provider.type, keyNames: provider.keys.map((key) => key.name.value) };
    case 'kms':
      return {
        type: 'kms',
        name: provider.kms.name.value,
        apiVersion: provider.kms.apiVersion.value === 'v2' ? 'v2' : 'v1',
        endpoint: provider.kms.endpoint.value,
        ...(provider.kms.timeout === undefined ? {} : { timeout: provider.kms.timeout.value }),
      };
    case 'none':
      throw new Error('a provider element without a provider has no summary');
  }
}

/** The provider a server writes with when this one comes first. */
export function refOf(provider: ProviderSummary): ProviderRef {
  switch (provider.type) {
    case 'identity':
      return { type: 'identity' };
    case 'kms':
      return { type: 'kms', name: provider.name };
    case 'aescbc':
    case 'aesgcm':
    case 'secretbox':
      return { type: provider.type, keyName: provider.keyNames[0] ?? '' };
  }
}
