import type { Arrangement, ProviderSummary } from '../encryption-config/types.ts';
import { clipped } from './words.ts';

/** One named check, as people read it. */
export interface Check {
  name: string;
  outcome: 'pass' | 'warn' | 'fail';
  /** What was seen. */
  detail: string;
  /** What to do; only where the outcome isn't `pass`. */
  remedy?: string;
  /** It failed for what may come back by itself: a server or a plugin that is away. */
  passing?: true;
}

/** A thing that stands in the way, as whoever met it describes it. */
export interface Trouble {
  message: string;
  remedy: string;
  /** Whether asking again can help. */
  retryable?: boolean;
}

/** What was answered to a question that may have no answer. */
export type Asked<T> = { answer: T } | { trouble: Trouble };

/** What the linter of plugins found, in short. */
export interface PluginFindings {
  keyId: string;
  /** The slowest answer, in milliseconds. */
  latencyMs: number;
  /** What failed, in sentences, and what to do about the first. */
  problems: readonly string[];
  remedy?: string;
  /** What is worth a warning; an agent of a version before has none. */
  warnings?: readonly string[];
  /** Bytes of key id, encrypted DEK and annotations, as each value gets them; where it sealed anything, and an agent tells. */
  sealBytes?: number;
}

/** The key ids of a plugin that is led. */
export interface KeyVersions {
  announced: string;
  /** Of the newest version that its key service has, as the plugin would announce it. */
  newest: string;
}

/** What the agent of one node found. Holds no key material. */
export interface NodeFindings {
  node: string;
  file: string;
  /** The file's hash, as the API server's metric has it, and the same with the node's name taken out. */
  hash?: string;
  normalizedHash?: string;
  /** The same of the file that cutover leaves: it holds a local target's key. */
  normalizedTargetHash?: string;
  /** The hash that the file will have in each arrangement. */
  hashes?: Readonly<Record<Arrangement, string>>;
  /** The providers of each migrated resource. */
  providers: { resource: string; providers: readonly ProviderSummary[] }[];
  /** Why the file can't be read, edited or replaced. */
  troubles: Trouble[];
  /** The target's plugin on this node. */
  plugin?: PluginFindings;
  /** The source's, where the file names one; an agent of a version before looks at none. */
  sourcePlugin?: PluginFindings;
  /** Of a rotation: what the plugin says of its versions, or why it doesn't. */
  rotation?: Asked<KeyVersions>;
  /** Whether the agent was given a way to restart the API server. */
  canRestart: boolean;
}

/** A node whose agent did not answer. */
export interface SilentNode {
  node: string;
  silent: string;
}

/** Judges what the agents found: pure. */
export function judgeNodes(
  nodes: readonly (NodeFindings | SilentNode)[],
  takeUp: 'Reload' | 'Restart',
): Check[] {
  const found = nodes.filter((node): node is NodeFindings => !('silent' in node));
  return [
    ...nodes.map(agentCheck),
    ...found.map(fileCheck),
    sameFile('configuration the same on every node', found, ({ normalizedHash }) => normalizedHash),
    sameTarget(found),
    ...found.map(pluginCheck),
    ...found.map(sourcePluginCheck),
    sameKeyId(found),
    ...(takeUp === 'Restart' ? found.map(restartCheck) : []),
  ].filter((check) => check !== undefined);
}

/** A check of whatever was answered; that nothing was is a failure. */
export function judged<T>(name: string, asked: Asked<T>, judge: (answer: T) => Omit<Check, 'name'>): Check {
  if ('answer' in asked) return { name, ...judge(asked.answer) };
  return failed(name, asked.trouble);
}

export function failed(name: string, { message, remedy, retryable }: Trouble): Check {
  return {
    name,
    outcome: 'fail',
    detail: message,
    remedy,
    ...(retryable === true ? { passing: true } : {}),
  };
}

/** Checks that are kept and shown. */
const MAX_CHECKS = 200;

/** As many checks as can be kept, of a length that can be kept; where there are more, those that pass give way. */
export function bounded(checks: readonly Check[]): Check[] {
  const kept = checks.map(({ detail, remedy, ...check }) => ({
    ...check,
    detail: clipped(detail),
    ...(remedy === undefined ? {} : { remedy: clipped(remedy) }),
  }));
  if (kept.length <= MAX_CHECKS) return kept;
  const worst = ['fail', 'warn', 'pass'].flatMap((outcome) =>
    kept.filter((check) => check.outcome === outcome),
  );
  return worst.slice(0, MAX_CHECKS);
}

export function passed(checks: readonly Check[]): boolean {
  return checks.every((check) => check.outcome !== 'fail');
}

/**
 * The first check that failed for what may come back by itself. While there is one, what else failed may be its
 * consequence: they are all worth another look.
 */
export function passingTrouble(checks: readonly Check[]): Check | undefined {
  return checks.find(({ outcome, passing }) => outcome === 'fail' && passing === true);
}

function agentCheck(node: NodeFindings | SilentNode): Check {
  const name = `agent on ${node.node}`;
  if (!('silent' in node)) return { name, outcome: 'pass', detail: 'answers' };
  return {
    name,
    outcome: 'fail',
    detail: node.silent,
    passing: true,
    remedy: `run "keyferry agent --node ${node.node}" there, against the same Temporal and with the cluster's name`,
  };
}

function fileCheck(node: NodeFindings): Check {
  const name = `configuration file on ${node.node}`;
  const trouble = node.troubles[0];
  if (trouble === undefined)
    return { name, outcome: 'pass', detail: `${node.file} can be edited for every phase` };
  return {
    name,
    outcome: 'fail',
    detail: node.troubles.map((one) => one.message).join('; '),
    remedy: trouble.remedy,
  };
}

/** Told only where the files are the same now: else it says nothing of the target. */
function sameTarget(nodes: readonly NodeFindings[]): Check | undefined {
  if (new Set(nodes.map(({ normalizedHash }) => normalizedHash)).size > 1) return undefined;
  const check = sameFile('target the same on every node', nodes, (node) => node.normalizedTargetHash);
  return check?.outcome === 'fail'
    ? {
        ...check,
        remedy:
          "put the same key into the target's secretFile on every node: one server would not read what another writes",
      }
    : check;
}

function sameFile(
  name: string,
  nodes: readonly NodeFindings[],
  hashOf: (node: NodeFindings) => string | undefined,
): Check | undefined {
  const hashes = new Map(
    nodes.flatMap((node) => {
      const hash = hashOf(node);
      return hash === undefined ? [] : [[node.node, hash]];
    }),
  );
  if (hashes.size < 2) return undefined;
  if (new Set(hashes.values()).size === 1)
    return { name, outcome: 'pass', detail: `${hashes.size} nodes agree` };
  return {
    name,
    outcome: 'fail',
    detail: [...hashes].map(([node, hash]) => `${node} has ${hash.slice(0, 19)}`).join(', '),
    remedy: "make the files equal (paths may hold the node's name), and let every API server take them up",
  };
}

function pluginCheck({ node, plugin }: NodeFindings): Check | undefined {
  if (plugin === undefined) return undefined;
  const name = `target plugin on ${node}`;
  const { problems, warnings = [], remedy } = plugin;
  if (problems.length > 0) {
    return {
      name,
      outcome: 'fail',
      detail: problems.join('; '),
      passing: true,
      remedy: remedy ?? `start the plugin on ${node} and see that its key service answers`,
    };
  }
  if (warnings.length > 0) {
    return { name, outcome: 'warn', detail: warnings.join('; '), remedy: checkByHand(node) };
  }
  return { name, outcome: 'pass', detail: fit(plugin) };
}

/** API servers read with the source's plugin whatever the linter thinks of it, and whether they can is checked by reading. */
function sourcePluginCheck({ node, sourcePlugin }: NodeFindings): Check | undefined {
  if (sourcePlugin === undefined) return undefined;
  const name = `source plugin on ${node}`;
  const found = [...sourcePlugin.problems, ...(sourcePlugin.warnings ?? [])];
  if (found.length === 0) return { name, outcome: 'pass', detail: fit(sourcePlugin) };
  return {
    name,
    outcome: 'warn',
    detail: found.join('; '),
    remedy: sourcePlugin.remedy ?? checkByHand(node),
  };
}

function fit({ latencyMs, keyId }: PluginFindings): string {
  return `answers within ${Math.round(latencyMs)} ms, key id ${keyId}`;
}

function checkByHand(node: string): string {
  return `run "keyferry plugin check" on ${node}: it says what to do about each`;
}

function sameKeyId(nodes: readonly NodeFindings[]): Check | undefined {
  // A rotation brings them to one.
  const ids = nodes.flatMap(({ plugin, rotation }) =>
    plugin === undefined || plugin.keyId === '' || rotation !== undefined ? [] : [plugin.keyId],
  );
  if (ids.length < 2) return undefined;
  const name = 'one key id on every node';
  if (new Set(ids).size === 1) return { name, outcome: 'pass', detail: ids[0] ?? '' };
  return {
    name,
    outcome: 'fail',
    detail: [...new Set(ids)].join(', '),
    remedy:
      "give every node the same plugin configuration: servers on two key ids rewrite each other's objects for ever",
  };
}

function restartCheck(node: NodeFindings): Check {
  const name = `restart on ${node.node}`;
  if (node.canRestart) return { name, outcome: 'pass', detail: 'the agent knows how' };
  return {
    name,
    outcome: 'fail',
    detail: 'the agent was started without --restart-command',
    remedy: "give the agent the command that restarts this node's API server, or set takeUp: Reload",
  };
}
