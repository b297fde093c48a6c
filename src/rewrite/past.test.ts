import { describe, expect, test } from '@jest/globals';
import { Growth, Past } from './past.ts';

describe('how fast a member grows', () => {
  test('is known from its second status on, and goes below zero while it compacts', () => {
    const growth = new Growth();
    expect(growth.of('a', 10_000, 100)).toBeUndefined();
    expect(growth.of('a', 12_000, 500)).toBe(200);
    expect(growth.of('a', 13_000, 200)).toBe(-300);
  });

  test('is that of the last status where nothing new was asked', () => {
    const growth = new Growth();
    growth.of('a', 10_000, 100);
    growth.of('a', 11_000, 200);
    expect(growth.of('a', 11_000, 200)).toBe(100);
  });

  test('is told of each member by itself', () => {
    const growth = new Growth();
    growth.of('a', 10_000, 100);
    expect(growth.of('b', 11_000, 900)).toBeUndefined();
  });

  test('is not known after a long rest', () => {
    const growth = new Growth();
    growth.of('a', 10_000, 100);
    expect(growth.of('a', 100_001, 200)).toBeUndefined();
    expect(growth.of('a', 101_001, 300)).toBe(100);
  });
});

describe('what is compared', () => {
  const past = () => new Past<{ name: string; value: number }>(({ name }) => name);
  const look = (at: number, value: number, name = 'a') => ({ at, loads: [{ name, value }] });

  test('is the newest look with the one before it, and with the first', () => {
    const looks = past();
    looks.compared(look(1_000, 1));
    looks.compared(look(2_000, 2));
    expect(looks.compared(look(3_000, 3))).toEqual([
      { now: { name: 'a', value: 3 }, before: { name: 'a', value: 2 }, first: { name: 'a', value: 1 } },
    ]);
  });

  test('stays the same while no newer look is there', () => {
    const looks = past();
    looks.compared(look(1_000, 1));
    const once = looks.compared(look(2_000, 2));
    expect(looks.compared(look(2_000, 2))).toEqual(once);
  });

  test('has nothing before it under another name, or after a long rest', () => {
    const looks = past();
    looks.compared(look(1_000, 1));
    expect(looks.compared(look(2_000, 2, 'b'))[0]?.before).toBeUndefined();
    expect(looks.compared(look(92_001, 3, 'b'))[0]?.before).toBeUndefined();
  });

  test('is the newest look, where one that began before it ends after it', () => {
    const looks = past();
    looks.compared(look(1_000, 1));
    const newest = looks.compared(look(3_000, 3));
    expect(looks.compared(look(2_000, 2))).toEqual(newest);
  });

  test('is told anew with what is newer of the same look', () => {
    const looks = past();
    looks.compared(look(1_000, 1));
    looks.compared(look(2_000, 2));
    expect(looks.compared(look(2_000, 3))[0]).toMatchObject({ now: { value: 3 }, before: { value: 1 } });
  });

  test('has as its first what was seen first since a rest of ten minutes', () => {
    const looks = past();
    looks.compared(look(0, 1));
    expect(looks.compared(look(600_000, 2))[0]?.first).toEqual({ name: 'a', value: 1 });
    expect(looks.compared(look(1_200_001, 3))[0]?.first).toEqual({ name: 'a', value: 3 });
    expect(looks.compared(look(1_205_000, 4))[0]?.first).toEqual({ name: 'a', value: 3 });
  });

  test('has no first look before it had settled', () => {
    const looks = new Past<{ name: string; value: number }>(
      ({ name }) => name,
      (_, at) => at >= 120_000,
    );
    expect(looks.compared(look(115_000, 1))[0]?.first).toBeUndefined();
    expect(looks.compared(look(120_000, 2))[0]?.first?.value).toBe(2);
    expect(looks.compared(look(125_000, 3))[0]?.first?.value).toBe(2);
  });
});
