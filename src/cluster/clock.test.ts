import { describe, expect, it } from '@jest/globals';
import { provenSkew } from './clock.ts';

const at = Date.parse('2026-01-01T12:00:00Z');
const DATE = 'Thu, 01 Jan 2026 12:00:00 GMT';

describe('the skew of a clock, by one answer', () => {
  it('is nothing where the answer was written within the second that it names', () => {
    expect(provenSkew(DATE, at + 900, at + 950)).toBe(0);
    expect(provenSkew(DATE, at - 10, at + 20)).toBe(0);
  });
  it('is nothing that a slow answer would explain', () => expect(provenSkew(DATE, at - 30_000, at)).toBe(0));
  it('of a clock ahead is what not even the end of the request explains', () =>
    expect(provenSkew(DATE, at - 60_100, at - 60_000)).toBe(60_000));
  it("of a clock behind is what not even the second's end explains", () =>
    expect(provenSkew(DATE, at + 60_000, at + 60_100)).toBe(-59_001));
  it('is not known without a date', () => expect(provenSkew(undefined, at, at)).toBeUndefined());
});
