import { isUtf8 } from 'node:buffer';
import { UNDECODED, UNOPENED, type Explanation } from '../cluster/refusal.ts';
import type { EnvelopeChain, OpenedValue } from '../envelope/chain.ts';
import { EnvelopeError } from '../envelope/errors.ts';
import { parseHeader } from '../envelope/header.ts';
import { KeyferryError } from '../errors.ts';

export type Resealed =
  | { kind: 'current' }
  /** What is to be stored in its place. */
  | { kind: 'sealed'; value: Buffer }
  /** Nothing that this configuration reads as an object: it has to be left as it is. */
  | ({ kind: 'refused' } & Explanation);

/**
 * Seals a value anew, where an API server would. What it holds in the clear is overwritten before this answers.
 *
 * @param value - as etcd has it; may be overwritten, for what identity stored is the object itself
 * @param etcdKey - the full key in etcd
 * @throws KeyferryError of the key service when it can't say; EnvelopeError of {@link EnvelopeChain.seal}
 */
export async function reseal(chain: EnvelopeChain, value: Buffer, etcdKey: Buffer): Promise<Resealed> {
  const opened = await openOrRefuse(chain, value, etcdKey);
  if ('kind' in opened) return opened;
  const { plaintext, stale } = opened;
  let kept: Buffer | undefined;
  try {
    // aescbc isn't authenticated: what opens may be garbage, and sealed anew nobody could tell any more.
    if (!isObject(plaintext)) return { kind: 'refused', ...UNDECODED };
    if (!stale) return { kind: 'current' };
    const sealed = await chain.seal(plaintext, etcdKey);
    // identity stores the very same bytes.
    if (sealed === plaintext) kept = plaintext;
    return { kind: 'sealed', value: sealed };
  } finally {
    if (kept === undefined) plaintext.fill(0);
  }
}

/** Whether a value opens as an object. @throws KeyferryError of the key service when it can't say */
export async function opens(chain: EnvelopeChain, value: Buffer, etcdKey: Buffer): Promise<boolean> {
  const opened = await openOrRefuse(chain, value, etcdKey);
  if ('kind' in opened) return false;
  const is = isObject(opened.plaintext);
  opened.plaintext.fill(0);
  return is;
}

async function openOrRefuse(
  chain: EnvelopeChain,
  value: Buffer,
  etcdKey: Buffer,
): Promise<OpenedValue | Extract<Resealed, { kind: 'refused' }>> {
  try {
    return await chain.open(value, etcdKey);
  } catch (error) {
    if (error instanceof EnvelopeError || isRefusedByPlugin(error)) return { kind: 'refused', ...UNOPENED };
    throw error;
  }
}

/** The plugin answered, and will answer the same again: it is about this value. */
function isRefusedByPlugin(error: unknown): boolean {
  return error instanceof KeyferryError && error.code === 'PluginRefused';
}

/** Whether it may be an object, as API servers store them. */
function isObject(plaintext: Buffer): boolean {
  const header = parseHeader(plaintext);
  if (header.provider !== 'identity' || header.encoding === 'other') return false;
  // One brace proves little.
  return header.encoding !== 'json' || isUtf8(plaintext);
}
