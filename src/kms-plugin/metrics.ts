import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type Circuit } from '../keys/resilient.ts';
import { type OnKeyServiceCall } from '../keys/observed.ts';
import { type ServedKey } from './served-key.ts';
import { type OnAnswered } from './unary.ts';

/** A key whose state the metrics show when they are asked for. */
export interface MeteredKey {
  readonly name: string;
  readonly key: ServedKey;
  readonly circuit: () => Circuit;
}

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/**
 * What a plugin tells Prometheus, of all its keys. Nothing in it depends on what is encrypted: key ids are the longest
 * labels, and only those in use are shown.
 */
export class PluginMetrics {
  readonly #registry = new Registry();
  readonly #keys: MeteredKey[] = [];
  readonly #operations: Histogram<'key' | 'operation' | 'code'>;
  readonly #calls: Histogram<'key' | 'call' | 'outcome'>;

  constructor() {
    const registers = [this.#registry];
    this.#operations = new Histogram({
      name: 'keyferry_plugin_operation_duration_seconds',
      help: 'Requests of API servers (Status, Encrypt, Decrypt), and of who leads a rotation, by gRPC status.',
      labelNames: ['key', 'operation', 'code'],
      buckets: seconds,
      registers,
    });
    this.#calls = new Histogram({
      name: 'keyferry_plugin_key_service_call_duration_seconds',
      help: 'Calls to the key service, each attempt; "current" is answered from memory for up to a minute.',
      labelNames: ['key', 'call', 'outcome'],
      buckets: seconds,
      registers,
    });
    this.#gauge('healthy', 'Whether Status answers "ok".', ({ key }) =>
      Number(['ok', 'degraded'].includes(key.state.report().state)),
    );
    this.#gauge(
      'degraded',
      'Whether the key service is away, and Status answers "ok" in its grace.',
      ({ key }) => Number(key.state.report().state === 'degraded'),
    );
    this.#gauge(
      'grace_left_seconds',
      'How long Status answers "ok" without the key service: the whole grace while it is there.',
      ({ key }) => key.state.report().graceLeftMs / 1_000,
    );
    this.#gauge(
      'circuit_open',
      'Whether the key service is left alone after failing again and again.',
      (one) => Number(one.circuit() !== 'closed'),
    );
    this.#gauge('local_kek_age_seconds', 'Age of the local KEK that seals.', ({ key }) =>
      over(key.hierarchy?.report().sealing?.ageMs, 1_000),
    );
    this.#gauge(
      'local_kek_uses',
      'DEK seeds that the local KEK has sealed.',
      ({ key }) => key.hierarchy?.report().sealing?.uses,
    );
    this.#gauge('kek_cache_keys', 'Unwrapped KEKs in memory.', ({ key }) => key.opener.report().keys);
    this.#counter('local_keks_made_total', 'Local KEKs made.', ({ key }) => key.hierarchy?.report().made);
    this.#counter(
      'kek_cache_hits_total',
      'Decrypts whose KEK was in memory.',
      ({ key }) => key.opener.report().hits,
    );
    this.#counter(
      'kek_cache_misses_total',
      'Decrypts whose KEK had to be unwrapped.',
      ({ key }) => key.opener.report().misses,
    );
    this.#counter(
      'kek_cache_evictions_total',
      'KEKs wiped for want of room, or because their time was over.',
      ({ key }) => key.opener.report().evictions,
    );
    this.#keyId(
      'key_id_info',
      'The key id that Status names and Encrypt uses; always 1.',
      ({ state }) => state.report().keyId,
    );
    this.#keyId(
      'newest_key_id_info',
      'Where rotations are led, the newest version of the key: while it is another than key_id_info, it waits; always 1.',
      ({ rotation }) => rotation?.newestKeyId,
    );
  }

  /** What a key reports as it happens, by the key's name in the configuration. */
  observer(name: string): { readonly answered: OnAnswered; readonly called: OnKeyServiceCall } {
    return {
      answered: (operation, code, took) => this.#operations.observe({ key: name, operation, code }, took),
      called: (call, outcome, took) => this.#calls.observe({ key: name, call, outcome }, took),
    };
  }

  /** Shows this key from now on. */
  add(key: MeteredKey): void {
    this.#keys.push(key);
  }

  /** Prometheus' text format. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #each(value: (key: MeteredKey) => number | undefined, show: (key: string, now: number) => void): void {
    for (const one of this.#keys) {
      const now = value(one);
      if (now !== undefined) show(one.name, now);
    }
  }

  #gauge(name: string, help: string, value: (key: MeteredKey) => number | undefined): void {
    const collect = (gauge: Gauge<'key'>) =>
      this.#each(value, (key, now) => {
        gauge.set({ key }, now);
      });
    new Gauge({
      name: `keyferry_plugin_${name}`,
      help,
      labelNames: ['key'],
      registers: [this.#registry],
      collect() {
        collect(this);
      },
    });
  }

  #counter(name: string, help: string, value: (key: MeteredKey) => number | undefined): void {
    const collect = (counter: Counter<'key'>) => {
      counter.reset();
      this.#each(value, (key, now) => {
        counter.inc({ key }, now);
      });
    };
    new Counter({
      name: `keyferry_plugin_${name}`,
      help,
      labelNames: ['key'],
      registers: [this.#registry],
      collect() {
        collect(this);
      },
    });
  }

  #keyId(name: string, help: string, keyIdOf: (key: ServedKey) => string | undefined): void {
    const collect = (gauge: Gauge<'key' | 'key_id'>) => {
      gauge.reset();
      for (const { name, key } of this.#keys) {
        const keyId = keyIdOf(key) ?? '';
        if (keyId !== '') gauge.set({ key: name, key_id: keyId }, 1);
      }
    };
    new Gauge({
      name: `keyferry_plugin_${name}`,
      help,
      labelNames: ['key', 'key_id'],
      registers: [this.#registry],
      collect() {
        collect(this);
      },
    });
  }
}

function over(value: number | undefined, divisor: number): number | undefined {
  return value === undefined ? undefined : value / divisor;
}
