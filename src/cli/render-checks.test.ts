import { describe, expect, it } from '@jest/globals';
import { renderChecks } from './render-checks.ts';

describe('checks on a terminal', () => {
  it('are a line each where they passed, and told at length with what to do where they did not', () => {
    const text = renderChecks([
      { name: 'etcd reachable', outcome: 'pass', detail: 'etcd 3.6.16' },
      { name: 'room in etcd', outcome: 'fail', detail: 'too little '.repeat(20).trim(), remedy: 'make room' },
      { name: 'canaries', outcome: 'pass', detail: 'secrets' },
    ]);
    expect(text.split('\n')).toEqual([
      'pass  etcd reachable  etcd 3.6.16',
      'fail  room in etcd',
      `      ${'too little '.repeat(9).trim()} too`,
      `      ${'little too '.repeat(9).trim()}`,
      '      little too little',
      '      what to do: make room',
      'pass  canaries        secrets',
    ]);
  });
});
