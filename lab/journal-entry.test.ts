import { describe, it, expect } from '@jest/globals';
import { ABSENT, JournalEntry } from './journal-entry.ts';

describe('what an object of the journal may hold', () => {
  it('is one content after an acknowledged write', () => {
    const entry = new JournalEntry('a');
    entry.acknowledged('v1', '1');
    expect(entry.possible).toEqual(['v1']);
  });

  it('is either content after a write without an answer, and has to be read before the next', () => {
    const entry = new JournalEntry('a');
    entry.acknowledged('v1', '1');
    entry.unknown('v2');
    expect(entry.possible).toEqual(['v1', 'v2']);
    expect(entry.resourceVersion).toBeUndefined();
  });

  it('is final once the outcome was seen', () => {
    const entry = new JournalEntry('a');
    entry.acknowledged('v1', '1');
    entry.unknown('v2');
    expect(entry.seen('v2', '2')).toBe(true);
    expect(entry.possible).toEqual(['v2']);
  });

  it('stays open while the old content is seen, for the request may land yet', () => {
    const entry = new JournalEntry('a');
    entry.acknowledged('v1', '1');
    entry.unknown('v2');
    expect(entry.seen('v1', '1')).toBe(true);
    expect(entry.possible).toEqual(['v1', 'v2']);
    entry.acknowledged('v3', '3');
    expect(entry.possible).toEqual(['v3']);
  });

  it('can not be an acknowledged content of before', () => {
    const entry = new JournalEntry('a');
    entry.acknowledged('v1', '1');
    entry.acknowledged('v2', '2');
    expect(entry.seen('v1', '1')).toBe(false);
  });

  it('can not be absent unless it was deleted', () => {
    const entry = new JournalEntry('a');
    entry.acknowledged('v1', '1');
    expect(entry.seen(ABSENT, undefined)).toBe(false);
    entry.unknown(ABSENT);
    expect(entry.seen(ABSENT, undefined)).toBe(true);
    expect(entry.gone).toBe(true);
  });
});
