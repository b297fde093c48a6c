import { EnvelopeChain } from '../envelope/chain.ts';
import {
  identityProvider,
  kmsV1Provider,
  kmsV2Provider,
  localProvider,
  type EnvelopeProvider,
  type KmsV1Deks,
  type KmsV2DekSources,
} from '../envelope/providers.ts';
import { KeyferryError } from '../errors.ts';
import { entriesFor, providersFor } from './chain.ts';
import { decodeBase64, parseGoDuration } from './go-syntax.ts';
import { summaryOf, type ProviderModel } from './model.ts';
import { configurationOf, parseModel } from './parse.ts';

/** Where a kms entry's plugin is. */
export interface KmsEndpoint {
  readonly name: string;
  /** `unix:///absolute/path` */
  readonly endpoint: string;
  /** In milliseconds. */
  readonly timeoutMs: number;
}

/** Who reaches the plugins of kms entries. Called once for each entry that a chain has; nothing has to be connected to yet. */
export interface KmsConnector {
  v1(entry: KmsEndpoint): KmsV1Deks;
  v2(entry: KmsEndpoint): KmsV2DekSources;
}

/** Kubernetes' default. */
const defaultTimeout = '3s';

/**
 * What an API server with this file reads and writes a resource with. Keys go from the file into the chain, and nowhere else.
 *
 * kms v1 entries are taken as of servers that have the feature gate and restart: whether they may still be loaded is another question
 * than whether values open.
 *
 * @param text - of an EncryptionConfiguration
 * @param resource - `secrets`, `widgets.example.com`; one that no entry covers is in plain text
 * @throws InvalidEncryptionConfigurationError
 */
export function chainFor(text: string, resource: string, connect: KmsConnector): EnvelopeChain {
  const entries = entriesFor(
    parseModel(text, { kmsV1: true, reload: false }).entries,
    (entry) => entry.resources.map(({ value }) => value),
    resource,
  );
  const [first, ...others] = entries.flatMap((entry) =>
    entry.providers.flatMap((provider) => linksOf(provider, connect)),
  );
  return new EnvelopeChain(first === undefined ? [identityProvider()] : [first, ...others]);
}

/**
 * Refuses a file that would have a resource written with kms v1, which keyferry only reads.
 *
 * @throws KeyferryError `RefusedKmsV1Writer`; InvalidEncryptionConfigurationError
 */
export function refuseKmsV1Writer(text: string, resource: string): void {
  const [writer] = providersFor(configurationOf(parseModel(text, { kmsV1: true, reload: false })), resource);
  if (writer?.type !== 'kms' || writer.apiVersion !== 'v1') return;
  throw new KeyferryError(
    'RefusedKmsV1Writer',
    `${resource} would be written with kms v1 (${JSON.stringify(writer.name)}), which is deprecated, off by default since Kubernetes 1.29, and only read by keyferry`,
    {
      remedy:
        'put a kms entry with apiVersion: v2, or a local provider, before it; leave the kms v1 entry behind that as a reader',
    },
  );
}

function linksOf(provider: ProviderModel, connect: KmsConnector): EnvelopeProvider[] {
  if (provider.type === 'aescbc' || provider.type === 'aesgcm' || provider.type === 'secretbox') {
    return provider.keys.map(({ name, secret }) =>
      // A valid file's secrets are base64.
      localProvider(provider.type, name.value, decodeBase64(secret.value) ?? Buffer.alloc(0)),
    );
  }
  const summary = summaryOf(provider);
  if (summary.type !== 'kms') return [identityProvider()];
  const { name, endpoint, apiVersion, timeout = defaultTimeout } = summary;
  const entry = { name, endpoint, timeoutMs: Math.max(1, (parseGoDuration(timeout) ?? 0) / 1e6) };
  return [
    apiVersion === 'v1' ? kmsV1Provider(name, connect.v1(entry)) : kmsV2Provider(name, connect.v2(entry)),
  ];
}
