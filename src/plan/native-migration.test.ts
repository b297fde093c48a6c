import { describe, expect, it } from '@jest/globals';
import type { Resource } from '../cluster/resources.ts';
import {
  nextOfNative,
  remember,
  TAKE_UP_MS,
  wordsOfStill,
  type ControllerLease,
  type NativeLook,
  type NativeMemory,
  type NativeNext,
  type NativeObject,
} from './native-migration.ts';
import { nativeName, nativeObject } from './native-object.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const NAME = 'keyferry-m-3-secrets';

const untaken: NativeObject = {
  name: NAME,
  uid: 'u',
  revision: '7',
  createdAt: '2026-01-01T11:59:00Z',
  resource: 'secrets',
  conditions: [],
};
const running: NativeObject = {
  ...untaken,
  resourceVersion: '700',
  conditions: [condition('Running', 'True')],
};
const lives: ControllerLease = {
  holder: 'cp-1_a',
  acquiredAt: NOW - 3_600_000,
  renewedAt: NOW - 2_000,
  durationMs: 15_000,
};
const ranOut: ControllerLease = { ...lives, renewedAt: NOW - 100_000 };

function condition(type: string, status: string) {
  return { type, status, reason: `StorageVersionMigration${type}`, at: '2026-01-01T12:00:00Z' };
}

/** What follows from looking at it for the first time. */
function next(
  look: Partial<NativeLook>,
  { stopping = false, ...memory }: Partial<NativeMemory> & { stopping?: boolean } = {},
): NativeNext {
  const whole: NativeLook = { at: NOW, others: [], ...look };
  const before = { askedAt: NOW - 10_000, takenUp: false, ...memory };
  return nextOfNative(NAME, whole, remember(before, whole), stopping);
}

describe('a StorageVersionMigration that was asked for', () => {
  it.each<[string, Partial<NativeLook>, string]>([
    ['without any controller', {}, 'there is no Lease kube-controller-manager'],
    [
      'whose controller is gone',
      { controller: ranOut },
      'has renewed its Lease since 2026-01-01T11:58:20.000Z',
    ],
    ['that a controller passes over', { controller: lives }, "(cp-1_a) doesn't begin"],
    ['behind another one of its resource', { controller: lives, others: ['theirs'] }, 'waits for theirs'],
  ])('%s waits, and says why', (_, look, words) => {
    expect(next({ object: untaken, ...look })).toEqual({
      kind: 'follow',
      idle: true,
      words: expect.stringContaining(words),
    });
  });

  it('is withdrawn when nobody takes it up for long', () => {
    const askedAt = NOW - TAKE_UP_MS - 1;
    expect(next({ object: untaken, controller: lives }, { askedAt })).toEqual({
      kind: 'withdraw',
      outcome: 'NotTakenUp',
      why: expect.stringContaining('--feature-gates=StorageVersionMigrator=true'),
    });
    const behind = next({ object: untaken, controller: lives, others: ['theirs'] }, { askedAt });
    expect(behind.kind).toBe('follow');
  });

  it('is withdrawn before it is begun when no more of it is wanted, even where it is marked as running', () => {
    for (const conditions of [[], running.conditions]) {
      expect(next({ object: { ...untaken, conditions } }, { stopping: true })).toMatchObject({
        kind: 'withdraw',
        outcome: 'NotTakenUp',
      });
    }
  });

  it('that runs is followed, and nothing is waited for', () => {
    expect(next({ object: running, controller: lives })).toMatchObject({ kind: 'follow', idle: false });
  });

  it('that runs and moves nothing for long says so, and where to look', () => {
    expect(wordsOfStill(NAME, NOW - TAKE_UP_MS + 1, NOW)).toBeUndefined();
    expect(wordsOfStill(NAME, NOW - TAKE_UP_MS, NOW)).toMatch(
      /keyferry-m-3-secrets has moved nothing since 2026-01-01T11:57:00.000Z: .*is a webhook down/,
    );
  });

  it('that runs is followed to its end when no more of it is wanted, with the way out', () => {
    for (const controller of [lives, undefined]) {
      const step = next({ object: running, ...(controller && { controller }) }, { stopping: true });
      expect(step).toMatchObject({
        kind: 'follow',
        words: expect.stringContaining(`kubectl delete storageversionmigration ${NAME}, then restart it`),
      });
    }
  });

  it('that runs waits for another controller when its own is gone, and is withdrawn when none comes', () => {
    expect(next({ object: running, controller: ranOut })).toMatchObject({ kind: 'follow', idle: true });
    const longAgo = { ...lives, renewedAt: NOW - TAKE_UP_MS - 1 };
    expect(next({ object: running, controller: longAgo })).toMatchObject({
      kind: 'withdraw',
      outcome: 'Abandoned',
    });
  });

  it('that runs is withdrawn at once when no more of it is wanted and its controller is gone', () => {
    expect(next({ object: running, controller: ranOut }, { stopping: true })).toMatchObject({
      kind: 'withdraw',
      outcome: 'Abandoned',
    });
  });

  it('a Lease that has only just run out proves nothing: its holder may still write', () => {
    const justNow = { ...lives, renewedAt: NOW - 20_000 };
    expect(next({ object: running, controller: justNow }, { stopping: true }).kind).toBe('follow');
  });

  it.each(['Succeeded', 'Failed'] as const)('has ended when it says %s', (type) => {
    const object: NativeObject = {
      ...running,
      conditions: [condition('Running', 'False'), condition(type, 'True')],
      ...(type === 'Failed' ? { why: 'denied by webhook no.example.com' } : {}),
    };
    expect(next({ object, controller: lives }, { stopping: true })).toEqual({
      kind: 'end',
      outcome: type,
      ...(type === 'Failed' ? { why: 'denied by webhook no.example.com' } : {}),
      writerLeft: false,
    });
  });

  describe('and that has ended, but that nobody has put away', () => {
    const object = {
      ...running,
      conditions: [condition('Running', 'True'), condition('Succeeded', 'True')],
    };

    it('is waited for: what puts it away trims the stored versions', () => {
      for (const stopping of [false, true]) {
        expect(next({ object, controller: lives }, { stopping, endedAt: NOW - TAKE_UP_MS })).toEqual({
          kind: 'follow',
          idle: true,
          words: expect.stringContaining('waits for kube-controller-manager to put it away'),
        });
      }
    });

    it('is withdrawn when nobody does, so that nobody will, and leaves no writer', () => {
      const withdrawn = next({ object, controller: lives }, { endedAt: NOW - TAKE_UP_MS - 1 });
      expect(withdrawn).toMatchObject({ kind: 'withdraw', outcome: 'Succeeded' });
      if (withdrawn.kind !== 'withdraw') return;
      expect(next({ controller: lives }, { takenUp: true, endedAt: NOW - 1, withdrawn })).toMatchObject({
        kind: 'end',
        outcome: 'Succeeded',
        writerLeft: false,
      });
    });
  });

  it('has not ended when it says that it has not succeeded', () => {
    const object = {
      ...running,
      conditions: [condition('Running', 'True'), condition('Succeeded', 'False')],
    };
    expect(next({ object, controller: lives }).kind).toBe('follow');
  });
});

describe('a StorageVersionMigration that is gone', () => {
  const gone = { takenUp: true, goneAt: NOW - 60_000 };

  it('leaves no writer where none had begun', () => {
    expect(next({ controller: lives })).toEqual({
      kind: 'end',
      outcome: 'Deleted',
      why: 'somebody deleted it',
      writerLeft: false,
    });
  });
  it('is waited for while the controller that had begun may go on: deleting it stops nothing', () => {
    expect(next({ controller: lives }, gone)).toMatchObject({
      kind: 'follow',
      words: expect.stringContaining('writes on until it is done; sooner: restart it'),
    });
  });
  it('leaves no writer once that controller is gone, or another was elected since', () => {
    const another = { ...lives, holder: 'cp-1_b', acquiredAt: NOW - 30_000 };
    for (const controller of [ranOut, another]) {
      expect(next({ controller }, gone)).toMatchObject({ kind: 'end', writerLeft: false });
    }
  });
  it('may be with a controller that was elected before it went', () => {
    const before = { ...lives, acquiredAt: gone.goneAt - 1_000 };
    expect(next({ controller: before }, gone).kind).toBe('follow');
  });
  it('may have left a writer where no Lease tells', () => {
    expect(next({}, gone)).toMatchObject({ kind: 'end', writerLeft: true });
  });
  it('ends as it was withdrawn', () => {
    const withdrawn = { kind: 'withdraw', outcome: 'Abandoned', why: 'nobody is there' } as const;
    expect(next({ controller: ranOut }, { ...gone, withdrawn })).toMatchObject({
      ...withdrawn,
      kind: 'end',
      writerLeft: false,
    });
  });
});

describe('a StorageVersionMigration that keyferry makes', () => {
  const widgets: Resource = {
    name: 'widgets.example.com',
    apiPath: '/apis/example.com/v2',
    apiVersion: 'example.com/v2',
    kind: 'Widget',
    plural: 'widgets',
    namespaced: true,
    etcdPrefix: '/registry/example.com/widgets/',
  };
  const secrets = { ...widgets, apiVersion: 'v1', plural: 'secrets', name: 'secrets' };

  it('has the fields that the schema has', () => {
    const v1beta1 = { apiVersion: 'storagemigration.k8s.io/v1beta1', fields: ['group', 'resource'] };
    const v1alpha1 = {
      apiVersion: 'storagemigration.k8s.io/v1alpha1',
      fields: ['group', 'resource', 'version'],
    };
    expect(nativeObject(v1beta1, widgets, NAME)).toEqual({
      apiVersion: 'storagemigration.k8s.io/v1beta1',
      kind: 'StorageVersionMigration',
      metadata: { name: NAME, labels: { 'app.kubernetes.io/managed-by': 'keyferry' } },
      spec: { resource: { group: 'example.com', resource: 'widgets' } },
    });
    expect(nativeObject(v1alpha1, widgets, NAME)).toMatchObject({
      spec: { resource: { group: 'example.com', version: 'v2', resource: 'widgets' } },
    });
    expect(nativeObject(v1alpha1, secrets, NAME)).toMatchObject({
      spec: { resource: { group: '', version: 'v1', resource: 'secrets' } },
    });
  });

  it('is called by its owner, the attempt and the resource, in a name that Kubernetes takes', () => {
    expect(nativeName('move-1a2b3c4d', 4, 'secrets')).toBe('keyferry-move-1a2b3c4d-4-secrets');
    const long = nativeName('m'.repeat(72), 4, `${'w'.repeat(63)}.${`${'g'.repeat(40)}.`.repeat(4)}io`);
    expect(long.length).toBeLessThanOrEqual(253);
    const most = nativeName('m'.repeat(72), 4, `${'w'.repeat(168)}.example.com`);
    expect(most).toMatch(/[a-z]$/);
  });
});
