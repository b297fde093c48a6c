import { decodeBase64, parseGoDuration, parseGoUrl } from './go-syntax.ts';
import { shown, type ProblemList } from './problems.ts';
import type { EntryModel, KeyModel, KmsModel, LocalProviderModel, ProviderModel } from './model.ts';
import type { LocalProviderType } from './types.ts';

/** In bytes: what AES and XSalsa20 take. */
const keySizes: Record<LocalProviderType, readonly number[]> = {
  aescbc: [16, 24, 32],
  aesgcm: [16, 24, 32],
  secretbox: [32],
};

export interface ProviderRuleOptions {
  /** Whether the API servers run with the feature gate KMSv1. */
  readonly kmsV1: boolean;
  /** Whether the API servers take up a changed file by themselves. */
  readonly reload: boolean;
}

/** Checks an entry's providers; `kmsNames` (name → where it stands) runs through all entries of the file. */
export function checkProviders(
  entry: EntryModel,
  kmsNames: Map<string, string>,
  options: ProviderRuleOptions,
  problems: ProblemList,
): void {
  if (entry.providers.length === 0) {
    const remedy = 'Name at least one; identity: {} stands for no encryption.';
    problems.error(`${entry.path}.providers`, entry.at, 'this entry has no provider', remedy);
  }
  for (const provider of entry.providers) {
    checkSingle(provider, problems);
    if (provider.type === 'kms') {
      checkKms(provider.kms, `${provider.path}.kms`, kmsNames, options, problems);
      if (!kmsNames.has(provider.kms.name.value))
        kmsNames.set(provider.kms.name.value, `${provider.path}.kms.name`);
    } else if (provider.type !== 'identity' && provider.type !== 'none') {
      checkKeys(provider, problems);
    }
  }
}

function checkSingle({ path, at, typesFound }: ProviderModel, problems: ProblemList): void {
  if (typesFound === 0) {
    const remedy = 'Name one of aesgcm, aescbc, secretbox, kms, or identity: {} (with the braces).';
    problems.error(path, at, 'this element holds no provider', remedy);
  } else if (typesFound > 1) {
    const message = 'this element holds more than one provider, so their order would be lost';
    problems.error(path, at, message, 'Give each provider a list element of its own.');
  }
}

function checkKeys(provider: LocalProviderModel, problems: ProblemList): void {
  const path = `${provider.path}.${provider.type}.keys`;
  if (provider.keys.length === 0) {
    problems.error(
      path,
      provider.at,
      `${provider.type} has no keys`,
      'List at least one key with name and secret.',
    );
  }
  const names = new Set<string>();
  for (const { name, secret } of provider.keys) {
    if (name.value === '' && !name.broken) {
      const message = 'this key has no name, and values in etcd are told apart by it';
      problems.error(name.path, name.at, message, 'Give the key a name.');
    } else if (names.has(name.value)) {
      const message = `another key of this provider is named ${shown(name.value)}; values of both look alike in etcd`;
      problems.warning(
        name.path,
        name.at,
        message,
        'Give each key a name of its own before anything is written with it.',
      );
    }
    names.add(name.value);
    if (!secret.broken) checkSecret(provider.type, secret, problems);
  }
}

function checkSecret(
  type: LocalProviderType,
  { value, path, at }: KeyModel['secret'],
  problems: ProblemList,
): void {
  const sizes = keySizes[type].join(', ').replace(/, (\d+)$/, ' or $1');
  const remedy = `Give ${sizes} random bytes in base64.`;
  if (value === '') {
    problems.error(path, at, 'this key has no secret', remedy);
    return;
  }
  const bytes = decodeBase64(value);
  if (bytes === undefined) {
    problems.error(path, at, 'the secret is not base64 (standard alphabet, padded)', remedy);
  } else if (!keySizes[type].includes(bytes.length)) {
    problems.error(path, at, `the secret is ${bytes.length} bytes long, and ${type} takes ${sizes}`, remedy);
  }
}

function checkKms(
  kms: KmsModel,
  path: string,
  kmsNames: ReadonlyMap<string, string>,
  options: ProviderRuleOptions,
  problems: ProblemList,
): void {
  checkKmsVersion(kms, path, options, problems);
  checkKmsName(kms, kmsNames, options, problems);
  checkTimeout(kms, problems);
  checkEndpoint(kms, problems);
  const { cacheSize } = kms;
  if (cacheSize === undefined) return;
  if (!isV1(kms)) {
    const message = 'cachesize belongs to kms v1; v2 derives its keys locally and has no such cache';
    problems.error(cacheSize.path, cacheSize.at, message, 'Remove cachesize.');
  } else if (cacheSize.value === 0) {
    const message = 'cachesize may not be 0';
    problems.error(
      cacheSize.path,
      cacheSize.at,
      message,
      'Give a positive number, or a negative one for no cache.',
    );
  }
}

/** Left out, the version is v1. */
function isV1(kms: KmsModel): boolean {
  return kms.apiVersion.value === 'v1' || (kms.apiVersion.value === '' && !kms.apiVersion.broken);
}

function checkKmsVersion(
  { apiVersion, ...kms }: KmsModel,
  path: string,
  options: ProviderRuleOptions,
  problems: ProblemList,
): void {
  if (apiVersion.broken || apiVersion.value === 'v2') return;
  if (!isV1({ apiVersion, ...kms })) {
    const message = `kms apiVersion ${shown(apiVersion.value)} is not known; there are v1 and v2`;
    problems.error(`${path}.apiVersion`, apiVersion.at, message, 'Write apiVersion: v2.');
  } else if (!options.kmsV1) {
    const left = apiVersion.value === '' ? 'without an apiVersion this is kms v1, which' : 'kms v1';
    const message = `${left} is refused unless kube-apiserver runs with the feature gate KMSv1, off by default since 1.29`;
    problems.error(
      `${path}.apiVersion`,
      apiVersion.at,
      message,
      'Write apiVersion: v2 if the plugin speaks it, or start the API servers with --feature-gates=KMSv1=true.',
    );
  }
}

function checkKmsName(
  kms: KmsModel,
  kmsNames: ReadonlyMap<string, string>,
  options: ProviderRuleOptions,
  problems: ProblemList,
): void {
  const { value, at, path, broken } = kms.name;
  if (broken) return;
  if (value === '') {
    problems.error(
      path,
      at,
      'this kms provider has no name, and values in etcd are told apart by it',
      'Give it a name.',
    );
    return;
  }
  if (value.includes(':') && !isV1(kms)) {
    const message = `the kms name ${shown(value)} holds a ":", which ends the name in etcd`;
    problems.error(path, at, message, 'Choose a name without ":".');
  }
  const first = kmsNames.get(value);
  if (first === undefined) return;
  const remedy = 'List the resources in one entry, or give one of the two another name.';
  if (options.reload || !isV1(kms)) {
    const message = `the kms name ${shown(value)} stands at ${first} already; names are unique over all entries of the file`;
    problems.error(path, at, message, remedy);
  } else {
    const message = `the kms name ${shown(value)} stands at ${first} already, which kube-apiserver refuses once it reloads the file by itself`;
    problems.warning(path, at, message, remedy);
  }
}

function checkTimeout({ timeout }: KmsModel, problems: ProblemList): void {
  if (timeout === undefined || timeout.broken) return;
  const nanoseconds = parseGoDuration(timeout.value);
  if (nanoseconds === undefined) {
    const message = `the timeout ${shown(timeout.value)} is not a duration with its unit`;
    problems.error(timeout.path, timeout.at, message, 'Write one such as 3s or 500ms.');
  } else if (nanoseconds <= 0) {
    problems.error(timeout.path, timeout.at, 'the timeout has to be longer than 0', 'Write one such as 3s.');
  }
}

function checkEndpoint({ endpoint }: KmsModel, problems: ProblemList): void {
  const { value, at, path, broken } = endpoint;
  if (broken) return;
  const remedy = 'Write unix:// and the absolute path of the socket: unix:///var/run/plugin.sock.';
  if (value === '') {
    problems.error(path, at, 'this kms provider has no endpoint', remedy);
    return;
  }
  const url = parseGoUrl(value);
  if (url === undefined) {
    problems.error(path, at, `the endpoint ${shown(value)} is not a URL`, remedy);
  } else if (url.scheme !== 'unix') {
    const scheme = url.scheme === '' ? 'no scheme' : `the scheme ${shown(url.scheme)}`;
    problems.error(
      path,
      at,
      `the endpoint has ${scheme}; plugins are reached over unix sockets alone`,
      remedy,
    );
  } else if (url.path === '' || url.host !== '') {
    const taken = url.path === '' ? 'no socket path' : `the socket path ${shown(url.path)}`;
    problems.warning(path, at, `kube-apiserver takes ${taken} from the endpoint ${shown(value)}`, remedy);
  }
}
