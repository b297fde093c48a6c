import { describe, expect, it } from '@jest/globals';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { apiVersionAtRest } from './at-rest.ts';

/** As kube-apiserver stores an object of a built-in resource. */
function protobuf(apiVersion: string, kind: string): Buffer {
  const typeMeta = new BinaryWriter()
    .uint32((1 << 3) | 2)
    .string(apiVersion)
    .uint32((2 << 3) | 2)
    .string(kind);
  const unknown = new BinaryWriter()
    .uint32((1 << 3) | 2)
    .bytes(typeMeta.finish())
    .uint32((2 << 3) | 2)
    .bytes(Buffer.from('{"apiVersion":"fake/v9"}'))
    .finish();
  return Buffer.concat([Buffer.from('k8s\0'), unknown]);
}

describe('the version that a value at rest says it has', () => {
  it.each<[string, Buffer, string]>([
    [
      'of JSON is its own field',
      Buffer.from('{"apiVersion":"stable.example.com/v2","kind":"A"}'),
      'stable.example.com/v2',
    ],
    [
      'of JSON is not one further in',
      Buffer.from('{"spec":{"apiVersion":"a/v1"},"apiVersion":"a/v2"}'),
      'a/v2',
    ],
    ['of JSON without one is unknown', Buffer.from('{"spec":{"apiVersion":"a/v1"}}'), 'unknown'],
    ['of JSON where it is no text is unknown', Buffer.from('{"apiVersion":{"a":1}}'), 'unknown'],
    ['of what is cut off is unknown', Buffer.from('{"apiVersion":"stable.exam'), 'unknown'],
    ['of protobuf is that of its TypeMeta', protobuf('apps/v1', 'Deployment'), 'apps/v1'],
    ['of the core group has no group', protobuf('v1', 'Secret'), 'v1'],
    ['of protobuf that is cut off is unknown', protobuf('apps/v1', 'Deployment').subarray(0, 9), 'unknown'],
    ['of protobuf with nothing in it is unknown', Buffer.from('k8s\0'), 'unknown'],
    [
      'can not be told of a sealed value',
      Buffer.from('k8s:enc:aescbc:v1:key1:{"apiVersion":"a/v1"}'),
      'sealed',
    ],
    ['of nothing is unknown', Buffer.alloc(0), 'unknown'],
    ['of anything else is unknown', Buffer.from([0xd9, 0xd9, 0xf7, 0x41]), 'unknown'],
    [
      'that is longer than any is unknown',
      Buffer.from(JSON.stringify({ apiVersion: 'x'.repeat(500) })),
      'unknown',
    ],
  ])('%s', (_, value, version) => expect(apiVersionAtRest(value)).toBe(version));
});
