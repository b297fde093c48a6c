import { describe, expect, it } from '@jest/globals';
import { EnvelopeChain } from '../envelope/chain.ts';
import { identityProvider, localProvider, type EnvelopeProvider } from '../envelope/providers.ts';
import { KeyferryError } from '../errors.ts';
import { opens, reseal } from './reseal.ts';

const AT = Buffer.from('/registry/secrets/default/a');
const OBJECT = Buffer.from('k8s\0 an object');
const source = localProvider('aescbc', 'old', Buffer.alloc(32, 1));
const target = localProvider('aescbc', 'new', Buffer.alloc(32, 2));
const both = new EnvelopeChain([target, source, identityProvider()]);
const sealedBy = async (provider: EnvelopeProvider, object = OBJECT): Promise<Buffer> =>
  Buffer.from(await provider.seal(object, AT));

/** A provider that shows the buffers it hands out in the clear. */
function watched(provider: EnvelopeProvider): { provider: EnvelopeProvider; clear: Buffer[] } {
  const clear: Buffer[] = [];
  return {
    clear,
    provider: {
      ...provider,
      open: async (value, etcdKey) => {
        const opened = await provider.open(value, etcdKey);
        clear.push(opened.plaintext);
        return opened;
      },
    },
  };
}

describe('a value', () => {
  it('of the source is sealed anew by the target', async () => {
    const resealed = await reseal(both, await sealedBy(source), AT);
    if (resealed.kind !== 'sealed') throw new Error(resealed.kind);
    expect(await both.open(resealed.value, AT)).toEqual({ plaintext: OBJECT, stale: false });
  });

  it('of the target is left as it is', async () => {
    expect(await reseal(both, await sealedBy(target), AT)).toEqual({ kind: 'current' });
  });

  it.each([
    [
      'that no provider reads',
      Buffer.from('k8s:enc:aescbc:v1:lost:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'),
      /no provider/,
    ],
    ['that nobody knows', Buffer.from('k8s:enc:rot13:v1:key:xxxxxxxx'), /no provider/],
    ['in the clear that is no object', Buffer.from('neither'), /no object/],
  ])('%s is refused with a way out', async (_, value, reason) => {
    expect(await reseal(both, value, AT)).toEqual({
      kind: 'refused',
      reason: expect.stringMatching(reason),
      remedy: expect.stringContaining('keyferry waive'),
    });
    expect(await opens(both, value, AT)).toBe(false);
  });

  it.each([
    ['bytes', Buffer.from('ff00aa', 'hex')],
    ['bytes that begin with a brace', Buffer.from('7bff00aa', 'hex')],
    ['another sealed value', Buffer.from('k8s:enc:aescbc:v1:new:')],
  ])('that opens as garbage (%s) isn’t sealed anew, for nobody could tell any more', async (_, garbage) => {
    expect(await reseal(both, await sealedBy(source, garbage), AT)).toMatchObject({ kind: 'refused' });
  });

  it('of a plugin that is away is no refusal, of one that refuses it is one', async () => {
    const failing = (code: string, retryable: boolean): EnvelopeChain =>
      new EnvelopeChain([
        {
          ...target,
          open: () => Promise.reject(new KeyferryError(code, 'no', { remedy: 'wait', retryable })),
        },
      ]);
    const value = await sealedBy(target);
    await expect(reseal(failing('UnavailablePlugin', true), value, AT)).rejects.toMatchObject({
      code: 'UnavailablePlugin',
    });
    expect(await reseal(failing('PluginRefused', false), value, AT)).toMatchObject({ kind: 'refused' });
  });
});

describe('what a value holds in the clear', () => {
  it.each<[string, EnvelopeProvider, (from: EnvelopeProvider) => EnvelopeChain]>([
    ['it was sealed anew', source, (from) => new EnvelopeChain([target, from])],
    ['it was current', target, (from) => new EnvelopeChain([from])],
    ['it was stored in the clear', identityProvider(), (from) => new EnvelopeChain([target, from])],
  ])('is overwritten once %s', async (_, from, chainOf) => {
    const { provider, clear } = watched(from);
    await reseal(chainOf(provider), await sealedBy(from), AT);
    expect(clear.map((one) => one.every((byte) => byte === 0))).toEqual([true]);
  });

  it('is overwritten when sealing fails', async () => {
    const { provider, clear } = watched(source);
    const broken = new EnvelopeChain([{ ...target, seal: () => Promise.reject(new Error('no')) }, provider]);
    await expect(reseal(broken, await sealedBy(source), AT)).rejects.toThrow('no');
    expect(clear[0]?.every((byte) => byte === 0)).toBe(true);
  });

  it('is what identity stores', async () => {
    const resealed = await reseal(
      new EnvelopeChain([identityProvider(), source]),
      await sealedBy(source),
      AT,
    );
    expect(resealed).toEqual({ kind: 'sealed', value: OBJECT });
  });
});
