import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Journal } from '../../lab/journal.ts';
import { whatIsWrong } from '../support/aftermath.ts';
import { CleanUp } from '../support/clean-up.ts';
import { TARGET_FORMAT } from '../support/etcd.ts';
import { LedVault } from '../support/led-vault.ts';
import { type RunningMigration } from '../support/running-migration.ts';

jest.setTimeout(1_800_000);

/** API servers ask their plugins once a minute: the rewriting has to last for longer than that. */
const OBJECTS_PER_SECOND = 10;
const WITHIN_MS = 600_000;

describe('a rotation in which a plugin strays', () => {
  const cleanUp = new CleanUp();
  let led: LedVault;
  let journal: Journal;
  let migration: RunningMigration;

  beforeAll(async () => {
    led = cleanUp.keep(await LedVault.up({ seed: { secrets: 300, configMaps: 20 } }), (up) => up.down());
    journal = await Journal.start(led.plane.lab, { rate: 5 });
  });

  afterAll(async () => {
    await journal.stop();
    await cleanUp.run();
  });

  test('stops rewriting, brings every plugin to one key id, and begins rewriting anew', async () => {
    migration = await led.plane.start({
      name: 'rotation',
      spec: { ...led.rotationSpec(), pace: { objectsPerSecond: OBJECTS_PER_SECOND, concurrency: 2 } },
    });
    await migration.until(
      'rewriting',
      ({ phase, rewrite }) => phase === 'rewrite' && rewrite.done > 0,
      WITHIN_MS,
    );
    const before = (await led.ask('cp-1', (one) => one.versions())).announcedKeyId;
    const keyId = await stray();
    await migration.until(
      'rewriting to stop',
      ({ apiServers }) => apiServers.some(({ doubted }) => doubted),
      WITHIN_MS,
    );
    const stopped = (await migration.timeline()).find(({ what }) => what === 'cp-2 changed');
    expect(stopped?.reason).toMatch(/another key id/);
    await migration.until(
      'rewriting again',
      ({ phase, rewrite }) => phase === 'rewrite' && rewrite.done > 0,
      WITHIN_MS,
    );
    const announced = await announcedKeyIds();
    expect(announced[1]).toBe(announced[0]);
    expect([before, keyId]).not.toContain(announced[0]);
    const { pass } = await migration.untilPhase('soak', 'waiting', WITHIN_MS);
    expect(pass).toBe(1);
    expect(await led.versionsAtRest()).toEqual(['v2']);
  });

  test('goes back: every plugin announces the old version, under a key id of its own', async () => {
    await migration.order('rollback');
    const report = await migration.report(WITHIN_MS);
    await journal.stop();
    expect(report.outcome).toBe('rolled-back');
    expect(await whatIsWrong(led.plane, journal, TARGET_FORMAT)).toEqual([]);
    expect(journal.progress().failed).toEqual({});
    expect(await led.versionsAtRest()).toEqual(['v1']);
    const announced = await announcedKeyIds();
    expect(announced[1]).toBe(announced[0]);
    expect(announced[0]).toMatch(/\/v1@[0-9]+;generation=[0-9]+$/);
  });

  /** Has cp-2's plugin announce the old version again, behind keyferry's back. */
  async function stray(): Promise<string> {
    const { source } = await migration.progress();
    return await led.ask('cp-2', async (one) => {
      const { announceableKeyId } = await one.versions(source.replace(/^.*key id /, ''));
      return await one.announce(announceableKeyId ?? '');
    });
  }

  async function announcedKeyIds(): Promise<string[]> {
    return await Promise.all(
      led.plane.lab.nodes.map(async (node) => (await led.ask(node, (one) => one.versions())).announcedKeyId),
    );
  }
});
