import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { writeByRename } from '../files.ts';
import { binaryOf } from '../launch.ts';
import { Journal } from '../journal.ts';
import { Lab } from '../lab.ts';
import { temporalAddress } from '../temporal.ts';
import { readManifest, seedObjects } from '../seed.ts';
import { figure, type Narrator } from './narrator.ts';
import { type Scene, type Stage } from './scene.ts';
import { Watch } from './watch.ts';

export const JOURNAL_NAMESPACE = 'journal-1';
/** Shards walked at once. */
export const SHARDS_AT_ONCE = 4;

const NAMESPACES = 20;
const SECRETS_PER_CONFIG_MAP = 25;
/** The rewriting is slowed down so that there is something to see. */
const REWRITE_SECONDS = 40;
const CLIENT_HEAD_START_MS = 2_000;
/** Short, so that nothing that a longer one would only make one wait for is waited for. */
const REQUEST_TIMEOUT_SECONDS = 20;
const COMPACTION_SECONDS = 15;

/** Puts the lab up and fills it. */
export async function putOnStage(
  narrator: Narrator,
  { dir, secrets, signal }: { dir: string; secrets: number; signal: AbortSignal },
): Promise<Lab> {
  const configMaps = Math.ceil(secrets / SECRETS_PER_CONFIG_MAP);
  narrator.section(
    'A control plane to try it on',
    'Nothing is simulated: etcd, two kube-apiservers, HashiCorp Vault and Temporal run on this machine, in a folder of their own. Servers that are not here yet are built with Go, which takes minutes, once.',
  );
  const lab = await Lab.up({
    dir,
    apiServers: 2,
    reload: true,
    plugins: true,
    agents: true,
    workers: 1,
    requestTimeoutSeconds: REQUEST_TIMEOUT_SECONDS,
    etcdCompactionSeconds: COMPACTION_SECONDS,
    say: (line) => narrator.show(line),
    signal,
  });
  try {
    const began = Date.now();
    await seedObjects(lab, { secrets, configMaps, namespaces: NAMESPACES, signal });
    const seconds = ((Date.now() - began) / 1000).toFixed(1);
    narrator.show(
      `${figure(secrets)} Secrets and ${figure(configMaps)} ConfigMaps in ${NAMESPACES} namespaces: made in ${seconds} s`,
    );
  } catch (error) {
    await lab.down();
    throw error;
  }
  return lab;
}

/** Starts the client that writes all the while. */
export async function startClient({ lab, narrator, signal }: Stage): Promise<Journal> {
  narrator.section(
    'A client that never stops',
    'From here to the end a client creates, updates and deletes Secrets through both API servers, and writes down what each answer promised. At the end everything it was promised must be there.',
  );
  const journal = await Journal.start(lab, { namespace: JOURNAL_NAMESPACE });
  await sleep(CLIENT_HEAD_START_MS, undefined, { signal });
  const { writes } = journal.progress();
  narrator.show(
    `after ${CLIENT_HEAD_START_MS / 1000} s: writes ${figure(writes)} · lost ${figure(journal.lostSoFar)}`,
  );
  return journal;
}

/** Shows what the user writes, checks it, and starts the migration. */
export async function startMigration(stage: Stage, journal: Journal): Promise<Watch> {
  const { lab, narrator, keyferry } = stage;
  narrator.section(
    'The migration is described, checked, and started',
    'A Migration names the source, the target, the pace, and who opens the gates. Preflight checks everything that could go wrong later, and changes nothing.',
  );
  const objects = Object.keys(readManifest(lab).objects).length;
  const document = lab.migrationSpec({
    name: 'aescbc-to-vault',
    spec: {
      pace: {
        objectsPerSecond: Math.ceil(objects / REWRITE_SECONDS),
        concurrency: 16,
        shards: SHARDS_AT_ONCE,
      },
    },
  });
  const file = lab.paths.migration;
  writeByRename(file, stringify(document), 0o644);
  const spec = Object.fromEntries(Object.entries(document.spec).filter(([field]) => field !== 'cluster'));
  narrator.show(`${file}, without the part that says where the cluster is:`);
  narrator.show(stringify({ kind: document.kind, spec }).trimEnd());
  narrator.typed(keyferry.environment);
  await keyferry.type(['preflight', '-f', file]);
  await keyferry.type(['start', '-f', file]);
  const watch = new Watch(keyferry, narrator, stage.rendering, journal, stage.signal);
  await watch.seen();
  showTemporal(stage, watch.workflowId);
  return watch;
}

/** Everything that keyferry does can be seen, asked and steered with Temporal's own tools. */
function showTemporal({ lab, narrator }: Stage, workflowId: string): void {
  const { config } = lab;
  const temporal = binaryOf(config, 'temporal');
  const on = `--address ${temporalAddress(config)} -w ${workflowId}`;
  narrator.gap();
  narrator.say(
    'It is a Temporal workflow. Its page, and commands to try in another terminal while this goes on:',
  );
  narrator.show(
    `http://127.0.0.1:${config.temporal?.uiPort ?? ''}/namespaces/default/workflows/${workflowId}`,
  );
  narrator.typed(
    `${temporal} workflow describe ${on}`,
    `${temporal} workflow query ${on} --type progress`,
    `${temporal} workflow signal ${on} --name pause`,
    `${temporal} workflow signal ${on} --name resume`,
  );
}

/** Stage and promote: mostly the API servers' own poll of their files. */
export async function untilRewriting({ narrator, watch }: Scene): Promise<void> {
  narrator.section(
    'Read before write',
    'Stage: both API servers learn to read with Vault, and prove it on canaries. Only then promote: they write with Vault, and still read the old key. An API server looks at its file once a minute, so each step takes up to a minute.',
  );
  await watch.until(
    'the API servers to take up their files',
    ({ phase, rewrite }) => phase === 'rewrite' && rewrite.of > 0,
  );
}
