import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { anatomyOf } from './anatomy.ts';
import { compileNames } from './header.ts';
import { localProvider } from './providers.ts';
import type { LocalProvider } from './types.ts';

const { values } = JSON.parse(
  readFileSync(new URL('vectors/kubernetes-1.36.3.json', import.meta.url), 'utf8'),
) as {
  values: {
    format: LocalProvider | 'kms-v1' | 'kms-v2';
    name: string;
    plaintext: string;
    value: string;
  }[];
};
const size = (base64: string): number => Buffer.from(base64, 'base64').length;

describe('the sizes of a value', () => {
  it('are those of what Kubernetes sealed, where they can be told', () => {
    for (const { format, name, plaintext, value } of values) {
      const names =
        format === 'kms-v2'
          ? []
          : [format === 'kms-v1' ? { type: format, name } : { type: format, keyName: name }];
      const { sizes } = anatomyOf(Buffer.from(value, 'base64'), compileNames(names));
      const { prefix = 0, encryptedData = 0, object, encryptedDekSource } = sizes;
      expect(sizes.value).toBe(size(value));
      if (format.startsWith('kms')) expect(encryptedDekSource).toBe('sealed by a kms v2 plugin'.length);
      else expect(prefix + encryptedData).toBe(sizes.value);
      // Which of its two payloads a kms v1 value has shows only when it is opened.
      if (format === 'kms-v1') {
        expect(object).toBeUndefined();
        continue;
      }
      expect(object?.least).toBeLessThanOrEqual(size(plaintext));
      expect(object?.most).toBeGreaterThanOrEqual(size(plaintext));
      if (format !== 'aescbc') expect(object?.least).toBe(object?.most);
    }
  });

  it('of a plain object are one', () => {
    expect(anatomyOf(Buffer.from('{"kind":"Secret"}'))).toEqual({
      header: { provider: 'identity', encoding: 'json' },
      sizes: { value: 17, prefix: 0, object: { least: 17, most: 17 } },
    });
  });

  it('depend on the name, which only the configuration knows where it holds a colon', async () => {
    const at = Buffer.from('/registry/secrets/default/a');
    const value = await localProvider('aesgcm', 'a:b', Buffer.alloc(32)).seal(Buffer.alloc(10), at);
    expect(anatomyOf(value).sizes.object?.most).toBe(12);
    expect(anatomyOf(value, compileNames([{ type: 'aesgcm', keyName: 'a:b' }])).sizes.object?.most).toBe(10);
  });

  it('are told of any bytes, without a crash', () => {
    const prefixes = ['', 'k8s:enc:', 'k8s:enc:kms:v1:n:', 'k8s:enc:kms:v2:n:', 'k8s:enc:aescbc:v1:n:'];
    fc.assert(
      fc.property(fc.constantFrom(...prefixes), fc.uint8Array({ maxLength: 100 }), (prefix, bytes) => {
        const value = Buffer.concat([Buffer.from(prefix), bytes]);
        expect(anatomyOf(value).sizes.value).toBe(value.length);
      }),
    );
  });
});
