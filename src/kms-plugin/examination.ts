import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeyferryError } from '../errors.ts';
import type { Asked } from '../plan/preflight.ts';
import { KmsPluginClient, type PluginCiphertext, type PluginStatus } from './client.ts';
import { socketPathOf } from './endpoint.ts';
import { socketAccess, type SocketAccess } from './socket-access.ts';

/** Kubernetes' default deadline for a plugin's answer. */
export const defaultTimeoutMs = 3_000;

/** What a plugin answered in one round: Status, Encrypt, Status. */
export interface PluginRound {
  readonly before: Asked<PluginStatus>;
  readonly sealed: Asked<PluginSeal>;
  readonly after: Asked<PluginStatus>;
}

/** What came of an Encrypt, without its bytes. */
export interface PluginSeal {
  readonly keyId: string;
  readonly ciphertextBytes: number;
  readonly annotationNames: readonly string[];
  /** Names and values together. */
  readonly annotationBytes: number;
  /** The plaintext stands in the ciphertext or in an annotation: as it is, in hex or in base64. */
  readonly showsPlaintext: boolean;
}

/** How Decrypt answered to what it should refuse: the bytes that were sealed, other ones, no, or not at all. */
export type PluginOpening = 'same' | 'other' | 'refused' | 'unanswered';

/** Everything that was seen of a plugin. Holds neither plaintext nor ciphertext. */
export interface PluginExamination {
  readonly socket: SocketAccess | undefined;
  readonly timeoutMs: number;
  readonly forMs: number;
  readonly rounds: readonly PluginRound[];
  /** Whether the first ciphertext opened as what was sealed; absent when there was none. */
  readonly opened?: Asked<boolean>;
  /**
   * Decrypt of what isn't one of its ciphertexts, or comes with another key id; absent when nothing
   * opened.
   */
  readonly strange?: Readonly<Record<StrangeInput, PluginOpening>>;
  readonly slowest: { readonly call: string; readonly ms: number };
}

export const strangeInputs = ['wrong key id', 'garbage', 'truncated ciphertext', 'flipped bit'] as const;
export type StrangeInput = (typeof strangeInputs)[number];

export interface ExaminationOptions {
  /** Deadline of each call in milliseconds. */
  readonly timeoutMs?: number;
  /** For how many milliseconds its key ids are watched, in two rounds at least; 0 for one round. */
  readonly forMs?: number;
  /** Between two rounds, in milliseconds. */
  readonly everyMs?: number;
}

/**
 * Uses a KMS v2 plugin as an API server does, and as none would: sealing and opening random bytes, and opening what should
 * not open. At most three calls a round and seven more; the plugin may make a remote call for each.
 *
 * @param endpoint - `unix:///absolute/path`
 * @throws KeyferryError `PluginEndpointInvalid` only: a plugin that can't be reached is an answer too
 */
export async function examinePlugin(
  endpoint: string,
  { timeoutMs = defaultTimeoutMs, forMs = 0, everyMs = 1_000 }: ExaminationOptions = {},
): Promise<PluginExamination> {
  const path = socketPathOf(endpoint);
  const client = new KmsPluginClient(endpoint, { timeoutMs });
  const uid = `keyferry-check-${randomUUID()}`;
  let slowest = { call: '', ms: 0 };
  const timed = async <T>(call: string, work: Promise<T>): Promise<Asked<T>> => {
    const started = performance.now();
    const answer = await asked(work);
    const ms = Math.round(performance.now() - started);
    if (ms >= slowest.ms) slowest = { call, ms };
    return answer;
  };
  try {
    const rounds: PluginRound[] = [];
    let first: { readonly sealed: PluginCiphertext; readonly plaintext: Buffer } | undefined;
    const end = performance.now() + forMs;
    for (;;) {
      const plaintext = randomBytes(32);
      const before = await timed('Status', client.status());
      const sealed = await timed('Encrypt', client.encrypt(plaintext, uid));
      const after = await timed('Status', client.status());
      rounds.push({
        before,
        sealed: 'trouble' in sealed ? sealed : { answer: sealOf(sealed.answer, plaintext) },
        after,
      });
      if ('answer' in sealed) first ??= { sealed: sealed.answer, plaintext };
      const left = end - performance.now();
      // Who watches looks at the end as well, however slow the beginning was.
      if (left <= 0 && (forMs === 0 || rounds.length > 1)) break;
      await sleep(Math.max(0, Math.min(everyMs, left)));
    }
    const seen = { socket: await socketAccess(path), timeoutMs, forMs, rounds };
    if (first === undefined) return { ...seen, slowest };
    const { sealed, plaintext } = first;
    const decrypted = await timed('Decrypt', client.decrypt(sealed, uid));
    if ('trouble' in decrypted) return { ...seen, opened: decrypted, slowest };
    const opened = { answer: decrypted.answer.equals(plaintext) };
    const strange = await openStrange(client, sealed, plaintext);
    return { ...seen, opened, strange, slowest };
  } finally {
    client.close();
  }
}

async function openStrange(
  client: KmsPluginClient,
  sealed: PluginCiphertext,
  plaintext: Buffer,
): Promise<Record<StrangeInput, PluginOpening>> {
  const { ciphertext } = sealed;
  const flipped = Buffer.from(ciphertext);
  const middle = flipped.length >> 1;
  flipped[middle] = (flipped[middle] ?? 0) ^ 1;
  const open = async (input: Partial<PluginCiphertext>): Promise<PluginOpening> => {
    try {
      const opened = await client.decrypt({ ...sealed, ...input }, `keyferry-check-${randomUUID()}`);
      return opened.equals(plaintext) ? 'same' : 'other';
    } catch (error) {
      if (!(error instanceof KeyferryError)) throw error;
      return /^(Unavailable|Timeout)/.test(error.code) ? 'unanswered' : 'refused';
    }
  };
  return {
    'wrong key id': await open({ keyId: `keyferry-check/${randomUUID()}` }),
    garbage: await open({ ciphertext: randomBytes(ciphertext.length) }),
    'truncated ciphertext': await open({ ciphertext: ciphertext.subarray(0, -1) }),
    'flipped bit': await open({ ciphertext: flipped }),
  };
}

function sealOf({ ciphertext, keyId, annotations }: PluginCiphertext, plaintext: Buffer): PluginSeal {
  const entries = Object.entries(annotations);
  const shown = [ciphertext, ...Object.values(annotations)].map((bytes) => bytes.toString('latin1'));
  const forms = (['latin1', 'hex', 'base64', 'base64url'] as const).map((form) => plaintext.toString(form));
  return {
    keyId,
    ciphertextBytes: ciphertext.length,
    annotationNames: entries.map(([name]) => name),
    annotationBytes: entries.reduce((sum, [name, bytes]) => sum + Buffer.byteLength(name) + bytes.length, 0),
    showsPlaintext: shown.some((text) => forms.some((form) => text.includes(form))),
  };
}

async function asked<T>(work: Promise<T>): Promise<Asked<T>> {
  try {
    return { answer: await work };
  } catch (error) {
    if (!(error instanceof KeyferryError)) throw error;
    const { message, remedy, retryable } = error;
    return { trouble: { message, remedy, retryable } };
  }
}
