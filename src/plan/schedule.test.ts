import { describe, expect, it } from '@jest/globals';
import { isOpen, scheduleText } from './schedule.ts';

const night = [{ from: '22:00', to: '06:00', timeZone: 'Europe/Berlin' }];

describe('a schedule', () => {
  it.each<[string, string, boolean]>([
    ['before it begins', '2026-01-15T20:59:59Z', false],
    ['when it begins, by the clocks of its zone', '2026-01-15T21:00:00Z', true],
    ['after midnight', '2026-01-16T00:30:00Z', true],
    ['in its last minute', '2026-01-16T04:59:59Z', true],
    ['when it ends', '2026-01-16T05:00:00Z', false],
    ['when it begins in summer, an hour earlier by UTC', '2026-07-15T20:00:00Z', true],
    ['when it ends in summer', '2026-07-16T04:00:00Z', false],
  ])('over midnight, %s', (_, time, open) => expect(isOpen(night, Date.parse(time))).toBe(open));

  it('of several windows is open in each', () => {
    const both = [...night, { from: '12:00', to: '13:00', timeZone: 'UTC' }];
    expect(isOpen(both, Date.parse('2026-01-15T12:30:00Z'))).toBe(true);
    expect(isOpen(both, Date.parse('2026-01-15T13:00:00Z'))).toBe(false);
    expect(scheduleText(both)).toBe('22:00–06:00 Europe/Berlin or 12:00–13:00 UTC');
  });

  it('from midnight on is open at midnight', () => {
    const morning = [{ from: '00:00', to: '06:00', timeZone: 'UTC' }];
    expect(isOpen(morning, Date.parse('2026-01-15T00:00:00Z'))).toBe(true);
    expect(isOpen(morning, Date.parse('2026-01-14T23:59:59Z'))).toBe(false);
  });
});
