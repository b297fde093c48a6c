import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { Journal } from '../../lab/journal.ts';
import { leakPatterns, PLAINTEXT_MARKER } from '../../lab/seed-content.ts';
import { type MigrationReport } from '../../workflows/report.ts';
import { CleanUp } from '../support/clean-up.ts';
import { jsonOf } from '../support/cli.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { formats, migratedValues, SOURCE_FORMAT, TARGET_FORMAT } from '../support/etcd.ts';
import { formsOf, leaksIn, type Needle } from '../support/leaks.ts';
import { databaseOf, histories, type Source } from '../support/temporal-contents.ts';
import { expectNothingLost, expectReadable } from '../support/whole.ts';

jest.setTimeout(900_000);

const OBJECTS = 300;
const APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

describe('a migration by reload, with a client that writes all the while', () => {
  const cleanUp = new CleanUp();
  let plane: ControlPlane;
  let journal: Journal;
  let report: MigrationReport;
  let workflowId: string;
  /** Whoever holds its identity opens what the target seals. */
  let recipient: string;
  let originals: Record<string, string>;
  let needles: Needle[];
  /** All that the commands printed, by command. */
  const printed: Source[] = [];

  async function command(...args: string[]): Promise<unknown> {
    const answer = await plane.cli(args);
    printed.push({ where: args.join(' '), text: answer.stdout + answer.stderr });
    return args.includes('--json') ? jsonOf(answer) : answer;
  }

  beforeAll(async () => {
    recipient = await identityToRecipient(await generateX25519Identity());
    plane = cleanUp.keep(
      await ControlPlane.up({
        reload: true,
        seed: { secrets: OBJECTS - 50, configMaps: 50, large: 1 },
        pluginSettings: {
          key: { escrow: { recipients: [recipient], whoeverHoldsAnIdentityCanDecrypt: true } },
        },
      }),
      (up) => up.down(),
    );
    originals = plane.configurations();
    needles = [
      ...leakPatterns().map((text, i) => ({ what: `seeded content (pattern ${i})`, text })),
      ...formsOf('the aescbc key', plane.sourceKey()),
      ...formsOf("the plugins' Vault token", readFileSync(plane.lab.paths.vault.token, 'utf8').trim()),
      ...formsOf("the workers' bearer token", bearerToken(plane)),
    ];
    expect(formats(await migratedValues(plane.lab))).toEqual({ [SOURCE_FORMAT]: expect.any(Number) });
    journal = cleanUp.keep(await Journal.start(plane.lab, { rate: 20 }), (one) => one.stop());

    const document = plane.document({ spec: { verify: { reads: 'All' } } });
    await command('plan', '-f', document, '--encryption-config', plane.configurationFile('cp-1'), '--json');
    await command('preflight', '-f', document, '--json');
    const migration = await plane.start({ spec: { verify: { reads: 'All' } } });
    ({ workflowId } = migration);
    await command('status', migration.workflowId);
    await migration.untilPhase('rewrite', undefined, 400_000);
    await command('status', migration.workflowId, '--json');
    await migration.untilPhase('soak', 'waiting');
    await migration.order('approve cutover');
    await migration.untilPhase('cutover', 'waiting');
    await migration.order('approve cleanup');
    report = await migration.report();
    await journal.stop();
    await command('status', migration.workflowId, '--json');
    await command('report', migration.workflowId, '--json');
    await command('report', migration.workflowId);
    await command('census', '-f', document, '--json');
    await command('census', '-f', document);
  });

  afterAll(() => cleanUp.run());

  test('every check of preflight passes before, and it ends completed', () => {
    expect(report.checks.filter(({ outcome }) => outcome !== 'pass')).toEqual([]);
    expect(report.checks.length).toBeGreaterThan(10);
    expect(report.outcome).toBe('completed');
  });

  test('every value in etcd is in the format of the target', async () => {
    const values = await migratedValues(plane.lab);
    expect(values.length).toBeGreaterThanOrEqual(OBJECTS);
    expect(formats(values)).toEqual({ [TARGET_FORMAT]: values.length });
  });

  test('every object is read with the content it had, through each API server', async () => {
    await expectReadable(plane, OBJECTS);
  });

  test('the client lost nothing, and no request of its failed', async () => {
    await expectNothingLost(journal);
    expect(journal.progress().failed).toEqual({});
  });

  test('the report says who can open besides the key service: before nobody, and now the offline recipient', () => {
    expect(report.before?.escrow).toEqual({ recipients: [], more: false });
    expect(report.after?.escrow).toEqual({ recipients: [recipient], more: false });
    const told = printed.find(({ where }) => where === `report ${workflowId}`)?.text;
    expect(told).toContain('No value has an escrow');
    expect(told).toContain(`  ${recipient}`);
  });

  test('no API server was restarted for it', () => {
    for (const node of plane.lab.nodes) {
      const log = readFileSync(plane.lab.paths.log(`${node}.apiserver`), 'utf8');
      expect(log.match(/Serving securely on/g)).toHaveLength(1);
    }
  });

  test('the files end without the source and with their comments, and no kept file is left beside them', () => {
    for (const [node, text] of Object.entries(plane.configurations())) {
      const original = originals[node] ?? '';
      expect(text).not.toContain('aescbc');
      expect(text).not.toContain(/secret: (\S+)/.exec(original)?.[1]);
      expect(text).toContain('name: vault');
      // A comment goes with the entry that it stands above, and no other does.
      const comments = original.match(/# .*$/gm) ?? [];
      expect(text.match(/# .*$/gm)).toEqual(
        comments.filter((one) => !one.startsWith('# The first provider')),
      );
      expect(readdirSync(dirname(plane.configurationFile(node)))).toEqual(['config.yaml']);
    }
  });

  describe('leaks neither key, token nor content', () => {
    test('into any history, or elsewhere into the database of Temporal', async () => {
      const all = await histories(plane.temporal);
      const types = new Set(all.map(({ where }) => where.split(' ')[0]));
      expect([...types].sort()).toEqual(['census', 'migration', 'preflight', 'reads', 'rewriteShard']);
      expect(leaksIn([...all, ...databaseOf(plane.lab.paths.temporal)], needles)).toEqual([]);
    });

    test('into the log of any process', () => {
      const folder = plane.lab.paths.logs;
      const logs = readdirSync(folder).map((name) => ({
        where: name,
        text: readFileSync(join(folder, name), 'latin1'),
      }));
      expect(logs.map(({ where }) => where)).toEqual(
        expect.arrayContaining([
          'worker-1.log',
          'cp-1.agent.log',
          'cp-2.agent.log',
          'cp-1.plugin.log',
          'cp-1.apiserver.log',
        ]),
      );
      expect(leaksIn(logs, needles)).toEqual([]);
    });

    test('into what commands print', () => {
      expect(printed.map(({ where }) => where.split(' ')[0])).toEqual(
        expect.arrayContaining(['plan', 'preflight', 'status', 'report', 'census']),
      );
      expect(printed.every(({ text }) => text.length > 100)).toBe(true);
      expect(leaksIn(printed, needles)).toEqual([]);
    });

    test('and it would have been found: what is planted is, a Secret made by kubectl apply too', async () => {
      const applied = await appliedSecret(plane);
      expect(leaksIn([{ where: 'an API answer', text: applied }], needles)).not.toEqual([]);
      // As the payload of a workflow, deep in a history and in the database.
      const planted = await plane.temporal.workflow.start('census', {
        workflowId: 'planted',
        taskQueue: 'nobody-polls-this',
        args: [{ applied, key: needles.find(({ what }) => what === 'the aescbc key')?.text }],
      });
      try {
        const found = leaksIn(await histories(plane.temporal), needles);
        expect(found).toContain('the aescbc key in census planted');
        expect(found.some((one) => one.startsWith('seeded content'))).toBe(true);
        expect(leaksIn(databaseOf(plane.lab.paths.temporal), needles)).not.toEqual([]);
      } finally {
        await planted.terminate('planted by a test');
      }
    });
  });
});

/** A seeded Secret as an API server answers with it, with what kubectl apply remembers in its annotation. */
async function appliedSecret(plane: ControlPlane): Promise<string> {
  const answer = await plane.ask('cp-1', 'GET', '/api/v1/namespaces/seed-1/secrets');
  const { items } = JSON.parse(answer.text) as {
    items: { metadata: { annotations?: Record<string, string> }; data: Record<string, string> }[];
  };
  const applied = items.find(({ metadata }) => metadata.annotations?.[APPLIED] !== undefined);
  if (applied === undefined) throw new Error('no Secret in seed-1 was made by kubectl apply');
  const text = applied.metadata.annotations?.[APPLIED] ?? '';
  const value = Object.values((JSON.parse(text) as { data: Record<string, string> }).data)[0] ?? '';
  expect(Buffer.from(value, 'base64').toString('latin1')).toContain(PLAINTEXT_MARKER);
  return text;
}

function bearerToken(plane: ControlPlane): string {
  const line = readFileSync(plane.lab.paths.tokens, 'utf8')
    .split('\n')
    .find((one) => one.includes(',keyferry,'));
  const token = line?.split(',')[0];
  if (token === undefined) throw new Error('no token of the user keyferry');
  return token;
}
