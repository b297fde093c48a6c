import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { compileNames, parseHeader } from './header.ts';
import { field, lengthDelimited, varintField } from './wire-by-hand.test-helper.ts';

const value = (text: string, body: Buffer = Buffer.alloc(48, 1)) => Buffer.concat([Buffer.from(text), body]);
const seedBlob = Buffer.from('encrypted seed');
const fields = {
  data: lengthDelimited(1, Buffer.alloc(100, 7)),
  keyId: lengthDelimited(2, Buffer.from('key-1')),
  source: lengthDelimited(3, seedBlob),
  annotation: lengthDelimited(
    4,
    Buffer.concat([lengthDelimited(1, Buffer.from('a.example.com')), lengthDelimited(2, Buffer.from('v'))]),
  ),
  seeded: varintField(5, 1),
};
const kmsV2 = (...parts: Buffer[]) => value('k8s:enc:kms:v2:vault:', Buffer.concat(parts));

describe('the header of a value that is not encrypted', () => {
  it.each([
    ['k8s\0 protobuf', value('k8s\0'), 'protobuf'],
    ['a JSON object', value('{"a":1}'), 'json'],
    ['a JSON object after white space', value(' \n\t{"a":1}'), 'json'],
    ['self-described CBOR', Buffer.of(0xd9, 0xd9, 0xf7, 0xa0), 'cbor'],
    ['an empty value', Buffer.alloc(0), 'other'],
    ['anything else, which identity takes too', value('hello'), 'other'],
    ['a truncated reserved prefix', value('k8s:enc', Buffer.alloc(0)), 'other'],
  ] as const)('%s is identity', (_, bytes, encoding) => {
    expect(parseHeader(bytes)).toEqual({ provider: 'identity', encoding });
  });
});

describe('the header of a local provider', () => {
  it('names the key up to the first colon, as a guess, when no names are given', () => {
    expect(parseHeader(value('k8s:enc:aescbc:v1:key1:'))).toEqual({
      provider: 'aescbc',
      keyName: 'key1',
      nameGuessed: true,
    });
  });

  it('takes a name with colons from the configuration, the longest that fits', () => {
    const names = compileNames([
      { type: 'aesgcm', keyName: 'a' },
      { type: 'aesgcm', keyName: 'a:b' },
      { type: 'secretbox', keyName: 'a:b:c' },
    ]);
    expect(parseHeader(value('k8s:enc:aesgcm:v1:a:b:'), names)).toEqual({
      provider: 'aesgcm',
      keyName: 'a:b',
      nameGuessed: false,
    });
    expect(parseHeader(value('k8s:enc:aesgcm:v1:a:'), names)).toMatchObject({
      keyName: 'a',
      nameGuessed: false,
    });
    expect(parseHeader(value('k8s:enc:aesgcm:v1:z:'), names)).toMatchObject({
      keyName: 'z',
      nameGuessed: true,
    });
  });

  it.each([
    ['aescbc', 31],
    ['aesgcm', 27],
    ['secretbox', 39],
  ])('%s of %i bytes after the name is too short for any key', (provider, size) => {
    expect(parseHeader(value(`k8s:enc:${provider}:v1:k:`, Buffer.alloc(size, 1)))).toMatchObject({
      provider: 'unknown',
    });
  });

  it('aescbc that is not a whole number of blocks cannot be read', () => {
    const names = compileNames([{ type: 'aescbc', keyName: 'k' }]);
    expect(parseHeader(value('k8s:enc:aescbc:v1:k:', Buffer.alloc(49, 1)), names).provider).toBe('unknown');
  });
});

describe('the header of a kms v1 value', () => {
  it('has the provider, and no key id', () => {
    const body = Buffer.concat([Buffer.of(0, 4), Buffer.alloc(40, 1)]);
    expect(parseHeader(value('k8s:enc:kms:v1:old:', body))).toEqual({
      provider: 'kms',
      version: 'v1',
      name: 'old',
      nameGuessed: true,
    });
    expect(
      parseHeader(value('k8s:enc:kms:v1:o:ld:', body), compileNames([{ type: 'kms-v1', name: 'o:ld' }])),
    ).toEqual({
      provider: 'kms',
      version: 'v1',
      name: 'o:ld',
      nameGuessed: false,
    });
  });
});

describe('the header of a kms v2 value', () => {
  const header = {
    provider: 'kms',
    version: 'v2',
    name: 'vault',
    keyId: 'key-1',
    dekSourceType: 'hkdf-sha256-seed',
    dekHash: createHash('sha256').update(seedBlob).digest('hex').slice(0, 16),
    annotations: ['a.example.com'],
  };

  it('has key id, DEK and annotation names', () => {
    const { data, keyId, source, annotation, seeded } = fields;
    expect(parseHeader(kmsV2(data, keyId, source, annotation, seeded))).toEqual(header);
  });

  it('does not depend on the order of fields, or on fields of a later Kubernetes', () => {
    const { data, keyId, source, annotation, seeded } = fields;
    const later = lengthDelimited(9, Buffer.from('new'));
    expect(parseHeader(kmsV2(seeded, later, annotation, source, keyId, data))).toEqual(header);
  });

  it('reads a missing source type as the AES key of older servers', () => {
    const { data, keyId, source } = fields;
    expect(parseHeader(kmsV2(data, keyId, source))).toMatchObject({
      dekSourceType: 'aes-gcm-key',
      annotations: [],
    });
  });

  it.each([
    ['no key id', [fields.data, fields.source, fields.seeded]],
    ['an empty key id', [fields.data, lengthDelimited(2, Buffer.alloc(0)), fields.source]],
    ['a key id over 1024 bytes', [fields.data, lengthDelimited(2, Buffer.alloc(1025, 0x61)), fields.source]],
    ['a key id that is not UTF-8', [fields.data, lengthDelimited(2, Buffer.of(0xff)), fields.source]],
    ['no DEK source', [fields.data, fields.keyId, fields.seeded]],
    ['a DEK source over 1024 bytes', [fields.data, fields.keyId, lengthDelimited(3, Buffer.alloc(1025))]],
    ['no data', [fields.keyId, fields.source, fields.seeded]],
    ['an unknown source type', [fields.data, fields.keyId, fields.source, varintField(5, 2)]],
    [
      'an annotation name that is no domain name',
      [
        fields.data,
        fields.keyId,
        fields.source,
        lengthDelimited(4, lengthDelimited(1, Buffer.from('plain'))),
      ],
    ],
    ['a length past the end', [field(1, 2), Buffer.of(0x7f, 0)]],
  ])('with %s is unknown, as the API server refuses it', (_, parts) => {
    const parsed = parseHeader(kmsV2(...parts));
    expect(parsed.provider).toBe('unknown');
  });

  it('at the limits is read', () => {
    const parts = [
      fields.data,
      lengthDelimited(2, Buffer.alloc(1024, 0x61)),
      lengthDelimited(3, Buffer.alloc(1024)),
    ];
    expect(parseHeader(kmsV2(...parts))).toMatchObject({ keyId: 'a'.repeat(1024) });
  });
});

describe('parsing any bytes', () => {
  it('never throws, and what starts with k8s:enc: is never identity', () => {
    const prefix = fc.constantFrom(
      '',
      'k8s:enc:',
      'k8s:enc:kms:v2:n:',
      'k8s:enc:kms:v1:n:',
      'k8s:enc:aescbc:v1:n:',
    );
    fc.assert(
      fc.property(prefix, fc.uint8Array({ maxLength: 200 }), (text, bytes) => {
        const header = parseHeader(value(text, Buffer.from(bytes)));
        if (text !== '') expect(header.provider).not.toBe('identity');
      }),
    );
  });

  it.each([
    'k8s:enc:',
    'k8s:enc:rot13:v1:k:',
    'k8s:enc:aescbc:v2:k:',
    'k8s:enc:aescbc:v1::',
    'k8s:enc:kms:v2:',
    'k8s:enc:kms:v2::',
  ])('%s is unknown, with a reason', (text) => {
    const header = parseHeader(value(text, Buffer.alloc(40, 1)));
    expect(header).toEqual({ provider: 'unknown', reason: expect.any(String) });
  });
});
