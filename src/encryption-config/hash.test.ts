import { describe, expect, it } from '@jest/globals';
import { hashOf, normalizedHash } from './hash.ts';

describe('the hash of a file', () => {
  it('is the one that kube-apiserver tells', () => {
    expect(hashOf('abc')).toBe('sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(hashOf(Buffer.from('abc'))).toBe(hashOf('abc'));
  });
});

describe('the normalized hash', () => {
  it('is the same for files that differ by the name of their node', () => {
    expect(normalizedHash('unix:///run/cp-1/kms-cp-1.sock', 'cp-1')).toBe(
      normalizedHash('unix:///run/cp-2/kms-cp-2.sock', 'cp-2'),
    );
  });
  it('differs where anything else differs', () => {
    expect(normalizedHash('unix:///run/cp-10.sock', 'cp-1')).not.toBe(
      normalizedHash('unix:///run/cp-20.sock', 'cp-2'),
    );
    expect(normalizedHash('name: a', 'cp.1')).not.toBe(normalizedHash('name: b', 'cp.1'));
  });
  it('takes a dot in a name for a dot', () => {
    expect(normalizedHash('/cpx1/', 'cp.1')).toBe(hashOf('/cpx1/'));
  });
});
