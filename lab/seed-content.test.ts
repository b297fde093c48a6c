import { describe, it, expect } from '@jest/globals';
import { contentHash, leakPatterns, PLAINTEXT_MARKER, seedObject } from './seed-content.ts';

const shape = { seed: 7, namespaces: ['a', 'b'], large: 1 };
const objects = Array.from({ length: 2_000 }, (_, i) => seedObject('secrets', i, shape));
const sizeOf = (data: Record<string, string> = {}) =>
  Object.values(data).reduce((sum, value) => sum + Buffer.from(value, 'base64').length, 0);

describe('seeded objects', () => {
  it('are the same for the same seed, and others for another', () => {
    expect(seedObject('secrets', 5, shape)).toEqual(objects[5]);
    expect(seedObject('secrets', 5, { ...shape, seed: 8 }).body).not.toEqual(objects[5]?.body);
  });

  it('have names that Kubernetes takes, each once', () => {
    const legal = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
    expect(objects.filter(({ name }) => !legal.test(name) || name.length > 253)).toEqual([]);
    expect(new Set(objects.map(({ name }) => name)).size).toBe(objects.length);
  });

  it('are mostly about 1 KB, with some near the limit of 1 MiB and none above', () => {
    const sizes = objects.map(({ body }) => sizeOf(body.data)).sort((a, b) => a - b);
    expect(sizes[1_000]).toBeGreaterThan(500);
    expect(sizes[1_000]).toBeLessThan(2_000);
    expect(sizes.at(-1)).toBeGreaterThan(1_000_000);
    expect(sizes.at(-1)).toBeLessThan(1_048_576);
  });

  it('are in part as kubectl apply makes them, with their data in the annotation', () => {
    const applied = objects.filter(({ body }) => body.metadata.annotations !== undefined);
    expect(applied.length).toBeGreaterThan(100);
    for (const { body } of applied) {
      const annotation = Object.values(body.metadata.annotations ?? {})[0] ?? '';
      expect(JSON.parse(annotation)).toMatchObject({ data: body.data });
      expect(annotation.length).toBeLessThan(262_144);
    }
  });
});

describe('the hash of a content', () => {
  it('does not heed what the API server adds, nor the order of keys', () => {
    const body = { type: 'Opaque', data: { a: '1', b: '2' } };
    const read = { data: { b: '2', a: '1' }, type: 'Opaque', metadata: { uid: 'x', annotations: {} } };
    expect(contentHash(read)).toBe(contentHash(body));
  });

  it('is another when a byte is', () => {
    expect(contentHash({ data: { a: '1' } })).not.toBe(contentHash({ data: { a: '2' } }));
  });
});

describe('the patterns of a leak', () => {
  it('find the marker plain, in hex, and in base64 once and twice, wherever it begins', () => {
    for (let before = 0; before < 7; before++) {
      const plain = Buffer.from(`${'.'.repeat(before)}${PLAINTEXT_MARKER}rest`);
      const once = plain.toString('base64');
      const twice = Buffer.from(`{"data":${'.'.repeat(before)}"${once}"}`).toString('base64');
      for (const text of [plain.toString(), plain.toString('hex'), once, twice]) {
        expect(leakPatterns().some((pattern) => text.includes(pattern))).toBe(true);
      }
    }
  });

  it('find nothing in a text without the marker', () => {
    expect(leakPatterns().some((pattern) => 'keyferry seeded 5000 Secrets'.includes(pattern))).toBe(false);
  });
});
