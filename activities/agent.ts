import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import {
  arrange,
  arrangements,
  checkRotation,
  diffArrangements,
  dropOriginal,
  hashOf,
  isMountPoint,
  keepOriginal,
  normalizedHash,
  parseEncryptionConfiguration,
  providersFor,
  readConfigurationFile,
  readOriginal,
  replaceConfigurationFile,
  withSecret,
  type ConfigurationFile,
} from '../src/encryption-config/index.ts';
import { KeyferryError, messageOf } from '../src/errors.ts';
import { checkEntries, pluginEntries, timeoutOf, type PluginEntry } from '../src/kms-plugin/entries.ts';
import { probePlugin, sentences } from '../src/kms-plugin/probe.ts';
import type { Arrangement } from '../src/plan/arrangement.ts';
import type { NodeFindings, PluginFindings, Trouble } from '../src/plan/preflight.ts';
import type {
  ArrangeInput,
  ArrangeResult,
  DropKeptInput,
  NodeFile,
  PluginKeyInput,
  SealCanariesInput,
  SealCanariesResult,
} from '../workflows/types.ts';
import { beating } from './beating.ts';
import type { AgentDependencies } from './dependencies.ts';
import { agentVersionActivities } from './agent-versions.ts';
import { etcdEngineActivities } from './etcd-engine.ts';
import { announceableKey, announceKey, inspectRotation } from './rotation.ts';
import { sealCanaries } from './seal-canaries.ts';

const RESTART_TIMEOUT_MS = 300_000;

/** What an agent does on its node. Local keys never leave it: it answers with hashes and sealed values. */
export function agentActivities(dependencies: AgentDependencies) {
  const { node, restartCommand } = dependencies;
  const inTurn = oneAtATime();
  /** @param expected - what keyferry may have left; the difference to the nearest is shown, without keys */
  const changed = (file: string, present: ConfigurationFile, expected: readonly string[]): KeyferryError =>
    new KeyferryError(
      'EncryptionConfigurationChanged',
      `${file} on ${node} was changed by somebody else (${present.hash.slice(0, 19)})${difference(expected, present.text)}`,
      { remedy: 'put back what was there, or take the change out until the migration is over' },
    );

  return {
    /** Looks at the configuration file and at the target's plugin; changes nothing. */
    async inspectNode(input: NodeFile): Promise<NodeFindings> {
      const findings: NodeFindings = {
        node,
        file: input.file,
        providers: [],
        troubles: [],
        canRestart: restartCommand !== undefined,
      };
      let entries: PluginEntry[] = [];
      try {
        const { text, hash } = await readConfigurationFile(input.file);
        findings.hash = hash;
        findings.normalizedHash = normalizedHash(text, node);
        const configuration = parseEncryptionConfiguration(text, { kmsV1: true });
        entries = pluginEntries(configuration);
        findings.providers = input.resources.map((resource) => ({
          resource,
          providers: providersFor(configuration, resource),
        }));
        // A migration that can begin must also be able to end: every edit is tried now. A rotation makes none.
        const edit = { ...input, target: await withSecret(input.target) };
        const rotated = input.rotation === true && edit.target.type === 'kms' ? edit.target : undefined;
        if (rotated !== undefined) checkRotation(configuration, { ...rotated, resources: input.resources });
        const arranged = arrangements.map((arrangement) =>
          rotated === undefined ? arrange(text, { ...edit, arrangement }) : text,
        );
        findings.hashes = Object.fromEntries(
          arrangements.map((arrangement, i) => [arrangement, hashOf(arranged[i] ?? '')]),
        ) as Record<Arrangement, string>;
        findings.normalizedTargetHash = normalizedHash(arranged.at(-1) ?? '', node);
      } catch (error) {
        findings.troubles.push(troubleOf(error));
      }
      findings.troubles.push(...(await placeTroubles(input.file)));
      const { source, target } = input;
      const old = entries.find(({ name }) => source.type === 'kms' && name === source.name);
      if (old !== undefined) findings.sourcePlugin = await inspectPlugin(old);
      if (target.type === 'kms') findings.plugin = await inspectPlugin(target, entries);
      if (target.type === 'kms' && input.rotation === true) {
        findings.rotation = await inspectRotation(target.endpoint);
      }
      return findings;
    },

    /**
     * Brings the file into an arrangement, always worked out from the original that is kept beside it: doing it twice,
     * or after a crash in between, ends the same.
     */
    arrangeConfiguration: (input: ArrangeInput): Promise<ArrangeResult> =>
      inTurn(async () => {
        const { migrationId, arrangement, checkedHash, left = arrangements } = input;
        const edit = { ...input, target: await withSecret(input.target) };
        const present = await readConfigurationFile(edit.file);
        const kept = await keepOriginal(edit.file, migrationId);
        // Preflight looked at one file; another must not become the original that everything is worked out from.
        if (kept.hash !== checkedHash) {
          await dropOriginal(edit.file, migrationId);
          throw changed(edit.file, present, []);
        }
        const original = await readOriginal(edit.file, migrationId);
        const wanted = arrange(original.text, { ...edit, arrangement });
        if (present.text === wanted) return { hash: present.hash };
        const textOf = (one: Arrangement): string => arrange(original.text, { ...edit, arrangement: one });
        if (!arrangements.map(textOf).includes(present.text)) {
          throw changed(edit.file, present, left.map(textOf));
        }
        await replaceConfigurationFile(edit.file, wanted, { expectedHash: present.hash });
        return { hash: hashOf(wanted) };
      }),

    /** Has the node's plugin announce a key id: from then on its API server seals with that version, within a minute. */
    announceKey: (input: PluginKeyInput): Promise<void> => announceKey(input),

    /** By which key id the node's plugin can announce a version; undefined for a version that it doesn't know. */
    announceableKey: (input: PluginKeyInput): Promise<string | undefined> => announceableKey(input),

    /** Seals canaries as an API server would that writes with the target. */
    sealCanaries: (input: SealCanariesInput): Promise<SealCanariesResult> => sealCanaries(node, input),

    /** Restarts this node's API server by the command the agent was given; answers when the command has ended. */
    async restartApiServer(): Promise<void> {
      if (restartCommand === undefined) {
        throw new KeyferryError(
          'NoRestartCommand',
          `the agent on ${node} doesn't know how to restart its API server`,
          {
            remedy: 'start the agent with --restart-command',
          },
        );
      }
      try {
        // Never cut short by a pause: an API server that was stopped is started again first.
        await beating(() =>
          promisify(execFile)('/bin/sh', ['-c', restartCommand], { timeout: RESTART_TIMEOUT_MS }),
        );
      } catch (error) {
        throw new KeyferryError('RestartFailed', `the restart command on ${node} failed: ${exitOf(error)}`, {
          remedy: `run the agent's --restart-command by hand on ${node}: keyferry doesn't keep what it prints`,
          cause: error,
        });
      }
    },

    /** Removes the original that was kept: the point of no return on this node. */
    dropKept: ({ file, migrationId }: DropKeptInput): Promise<void> =>
      inTurn(() => dropOriginal(file, migrationId)),

    ...etcdEngineActivities(dependencies),
    ...agentVersionActivities(dependencies),
  };
}

/**
 * Edits of one agent, one after another: one that was stopped for a while finds the attempt that Temporal gave up beside
 * the next one, and each would take the other's edit for somebody else's.
 */
function oneAtATime(): <T>(edit: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (edit) => {
    const mine = last.then(edit);
    last = mine.catch(() => undefined);
    return mine;
  };
}

/** Bytes of a difference that go into an error, and with it into the state of a migration. */
const MAX_DIFFERENCE = 1_000;

/** How a file differs from what keyferry left there, without keys. */
function difference(expected: readonly string[], present: string): string {
  const [nearest] = expected
    .map((text) => diffArrangements(text, present))
    .sort((a, b) => a.length - b.length);
  if (nearest === undefined) return '';
  if (nearest === '') return ', in what is not shown: a key';
  // Without the heading that names the two texts.
  const lines = nearest.slice(nearest.indexOf('@@'));
  const cut = lines.length > MAX_DIFFERENCE ? `${lines.slice(0, MAX_DIFFERENCE)}\n…` : lines.trimEnd();
  return `:\n${cut}\n`;
}

/** @param others - entries of the file, which must not stand at the same socket */
async function inspectPlugin(
  entry: PluginEntry,
  others: readonly PluginEntry[] = [],
): Promise<PluginFindings> {
  try {
    const { keyId, latencyMs, sealBytes, checks } = await probePlugin(entry.endpoint, {
      timeoutMs: timeoutOf(entry),
    });
    const apart = await Promise.all(
      others.filter(({ name }) => name !== entry.name).map((other) => checkEntries([other, entry])),
    );
    const all = [...checks, ...apart];
    const remedy = all.find(({ outcome }) => outcome === 'fail')?.remedy;
    return {
      keyId,
      latencyMs,
      problems: sentences(all, 'fail'),
      warnings: sentences(all, 'warn'),
      ...(sealBytes === undefined ? {} : { sealBytes }),
      ...(remedy === undefined ? {} : { remedy }),
    };
  } catch (error) {
    return { keyId: '', latencyMs: 0, problems: [messageOf(error)] };
  }
}

async function placeTroubles(file: string): Promise<Trouble[]> {
  const troubles: Trouble[] = [];
  const folder = dirname(file);
  try {
    await access(folder, constants.W_OK);
  } catch {
    troubles.push({
      message: `${folder} can't be written`,
      remedy:
        'let the agent write the folder: the file is replaced by rename, so that no API server reads half of it',
    });
  }
  if (await isMountPoint(file)) {
    troubles.push({
      message: `${file} is itself a mount`,
      remedy:
        'mount its folder instead: a file mount never sees a rename, so API servers would never see the change',
    });
  }
  return troubles;
}

/** The endpoint of a provider is no secret; an unexpected error is a defect and goes up. */
function troubleOf(error: unknown): Trouble {
  if (error instanceof KeyferryError) return { message: error.message, remedy: error.remedy };
  throw error;
}

/** How a command ended, without what it printed. */
function exitOf(error: unknown): string {
  const { code, signal, killed } = error as {
    code?: number | string;
    signal?: string | null;
    killed?: boolean;
  };
  if (killed === true) return `it took longer than ${RESTART_TIMEOUT_MS / 1000} s`;
  return signal === undefined || signal === null ? `exit code ${code ?? 'unknown'}` : `signal ${signal}`;
}
