import { EnvelopeError } from './errors.ts';
import type { EnvelopeProvider } from './providers.ts';

/** A value that was opened. */
export interface OpenedValue {
  /** The object as identity would have stored it. */
  readonly plaintext: Buffer;
  /** Whether kube-apiserver would write it anew, be it unchanged: another provider, key, key id or DEK source is first now. */
  readonly stale: boolean;
}

/**
 * The providers of one resource in the order of its configuration, with one link per key: reads by any, writes by the first.
 *
 * As kube-apiserver does (`prefixTransformers` of k8s.io/apiserver, storage/value/transformer.go): every provider whose prefix
 * fits is tried in turn, for names may hold ':' and two keys may have one name.
 */
export class EnvelopeChain {
  readonly #first: EnvelopeProvider;
  readonly #providers: readonly EnvelopeProvider[];

  constructor(providers: readonly [EnvelopeProvider, ...EnvelopeProvider[]]) {
    this.#first = providers[0];
    this.#providers = providers;
  }

  /**
   * Opens a value.
   *
   * @param value - as etcd has it, prefix included
   * @param etcdKey - the full key in etcd, e.g. `/registry/secrets/default/a`: most formats authenticate it
   * @throws EnvelopeError of the format when one provider has the prefix; `EnvelopeNoneOpens` when several have it, and
   * `EnvelopeNoProvider` when none has. What a key service throws is passed on.
   */
  async open(value: Buffer, etcdKey: Buffer): Promise<OpenedValue> {
    const failures: { provider: string; error: unknown }[] = [];
    for (const [position, provider] of this.#providers.entries()) {
      if (!hasPrefix(value, provider.prefix)) continue;
      try {
        const { plaintext, outdated } = await provider.open(value, etcdKey);
        return { plaintext, stale: position > 0 || (await outdated()) };
      } catch (error) {
        // identity has no prefix of its own: that it refuses a value says nothing about the others.
        if (provider.prefix.length > 0) failures.push({ provider: provider.name, error });
      }
    }
    throw explain(value, failures);
  }

  /**
   * Seals an object by the first provider.
   *
   * @param etcdKey - where it will be stored; most formats open under no other key
   * @throws EnvelopeError as the format does, `EnvelopeReadOnly` for kms v1; what a key service throws is passed on
   */
  async seal(plaintext: Buffer, etcdKey: Buffer): Promise<Buffer> {
    return await this.#first.seal(plaintext, etcdKey);
  }

  /** Fails at once where {@link seal} would fail for every object: the plugin isn't there, or the format is read only. */
  async prepareToSeal(): Promise<void> {
    await this.#first.prepareToSeal?.();
  }
}

function hasPrefix(value: Buffer, prefix: Buffer): boolean {
  return value.length >= prefix.length && prefix.equals(value.subarray(0, prefix.length));
}

function explain(value: Buffer, failures: readonly { provider: string; error: unknown }[]): unknown {
  const [first, second] = failures;
  if (first === undefined) {
    return new EnvelopeError(
      'EnvelopeNoProvider',
      `no provider of the configuration reads ${beginning(value)}`,
    );
  }
  if (second === undefined) return first.error;
  // A key service that is away may be back: that is worth more to know than what the others say.
  const elsewhere = failures.find(({ error }) => !(error instanceof EnvelopeError));
  if (elsewhere !== undefined) return elsewhere.error;
  const said = failures.map(({ provider, error }) => `${provider}: ${(error as EnvelopeError).message}`);
  return new EnvelopeError(
    'EnvelopeNoneOpens',
    `no provider with its prefix opens the value (${said.join('; ')})`,
    {
      cause: new AggregateError(failures.map(({ error }) => error)),
    },
  );
}

/** What a value says of itself before its key's name: a name that isn't configured may hold ':', and end anywhere. */
function beginning(value: Buffer): string {
  const format = /^k8s:enc:(?:aescbc|aesgcm|secretbox|kms):v[0-9]:/.exec(
    value.toString('latin1', 0, 32),
  )?.[0];
  return format === undefined ? 'what it begins with' : `${format} with its key name`;
}
