import type { AdmissionHook } from '../cluster/admission.ts';
import type { SampleReads, QuickCount, UnreadObject } from '../census/survey.ts';
import type { Conversion } from '../cluster/conversion.ts';
import type { UpdateProbe } from '../rewrite/probe.ts';
import type { ProviderRef } from '../encryption-config/types.ts';
import { refText } from './sides.ts';
import { failed, judged, type Asked, type Check } from './preflight.ts';

/** How many names one line has room for. */
const NAMED = 10;
/**
 * Judges whether objects can be read before anything is changed. An API server that restarts while it can't open an object
 * never gets ready: where servers are to be restarted, nothing may be unreadable.
 */
export function judgeReads(asked: Asked<SampleReads>, takeUp: 'Reload' | 'Restart'): Check {
  return judged('objects readable', asked, ({ failures, moreFailures, read }) => {
    const looked = `${read.toLocaleString('en')} reads through all API servers, of one object of each sealing and a sample`;
    if (failures.length === 0) return { outcome: 'pass', detail: looked };
    const detail = `${named(byObject(failures), moreFailures)}; ${looked}`;
    const wayOut =
      'bring back the key that opens them, restore them from a backup, or delete their keys from etcd';
    if (takeUp === 'Restart') {
      return {
        outcome: 'fail',
        detail,
        remedy: `${wayOut}, before any API server is restarted: it would never get ready while it can't open them`,
      };
    }
    return {
      outcome: 'warn',
      detail,
      remedy: `${wayOut}; or let the migration go on without them: it stops before cutover, and then takes "keyferry waive" for each`,
    };
  });
}

/** Judges whether something in etcd lies under the target's name already that the present configuration doesn't open. */
export function judgeTargetName(
  counted: Asked<QuickCount>,
  reads: Asked<SampleReads>,
  ref: ProviderRef,
): Check | undefined {
  // What isn't encrypted lies under no name.
  if (ref.type === 'identity') return undefined;
  const target = refText(ref);
  const name = "target's name free in etcd";
  if ('trouble' in counted) return failed(name, counted.trouble);
  const provider = ref.type === 'kms' ? 'kms v2' : ref.type;
  const key = ref.type === 'kms' ? ref.name : ref.keyName;
  const under = counted.answer.rows.filter((row) => row.provider === provider && row.key === key);
  const count = under.reduce((sum, row) => sum + row.count, 0);
  // Of very many kinds of sealing, the rows don't name all.
  const hidden = counted.answer.rows.some((row) => row.provider === provider && row.key === undefined);
  if (count === 0 && !hidden) return { name, outcome: 'pass', detail: `nothing lies under ${target}` };
  return judged(name, reads, ({ failures, moreFailures }) => {
    const unread = failures.filter((failure) => failure.provider === target);
    const already = `${hidden ? 'at least ' : ''}${count.toLocaleString('en')} ${count === 1 ? 'object lies' : 'objects lie'} under ${target} already`;
    if (unread.length === 0 && moreFailures === 0) {
      return { outcome: 'pass', detail: `${already}, and can be read` };
    }
    return {
      outcome: 'fail',
      detail: `${already}, and the present configuration doesn't open ${named(byObject(unread), moreFailures)}`,
      remedy: `give the target a name that nothing is sealed under; or, if its key is the one that sealed them, add it to the files as a last provider first, so that keyferry can see that it opens them`,
    };
  });
}

/** Judges the webhooks that convert a migrated custom resource. */
export function judgeConversion(resource: string, asked: Asked<Conversion | undefined>): Check | undefined {
  // Most resources have none.
  if ('answer' in asked && asked.answer === undefined) return undefined;
  return judged(`conversion of ${resource}`, asked, (conversion) => {
    if (conversion?.tried === undefined) {
      return { outcome: 'pass', detail: 'converted by a webhook; there is no object to try it with' };
    }
    const { needed, failures } = conversion;
    if (failures.length === 0) return { outcome: 'pass', detail: 'an object can be read by every version' };
    const broken = failures.map(({ version, status }) => `${version}: ${status}`).join(', ');
    return {
      outcome: needed ? 'fail' : 'warn',
      detail: `an object can't be read by every version (${broken})`,
      remedy: `mend the webhook under spec.conversion of the CustomResourceDefinition${needed ? ': objects can be rewritten only while it converts them' : '; the objects are stored as they are asked for, and can be rewritten without it'}`,
    };
  });
}

/** What was tried of a resource's admission. */
export interface AdmissionFindings {
  /** The webhooks and policies that its updates go through in some namespace. */
  hooks: AdmissionHook[];
  probes: UpdateProbe[];
  /** Namespaces that the probes stand for, and groups of them beyond those that were tried. */
  namespaces: number;
  groupsLeft: number;
  /** Webhooks that did not answer, and were passed over because they say Ignore. */
  passedOver: string[];
  /** Objects of earlier probes that can't be deleted. */
  stuck: string[];
}

/** Judges whether the cluster's webhooks and policies let updates through. */
export function judgeAdmission(resource: string, asked: Asked<AdmissionFindings>): Check {
  return judged(`updates of ${resource} admitted`, asked, (found) => {
    const { hooks, probes, passedOver } = found;
    const refused = new Map<string, string[]>();
    for (const { namespace, refusals } of probes) {
      for (const { apiServer, status, reason } of refusals) {
        const why = `${status} ${reason}${policyOf(reason, hooks)}`;
        refused.set(why, [...(refused.get(why) ?? []), place(namespace, apiServer)]);
      }
    }
    const silent = [...refused.keys()].some((why) => why.includes('did not answer'));
    const untried = probes.flatMap(({ namespace, untried: why }) =>
      why === undefined ? [] : [`${namespace ?? 'the cluster'}: ${why}`],
    );
    const left = [...found.stuck, ...probes.flatMap((probe) => probe.leftBehind ?? [])];
    const conditional = hooks.filter((hook) => hook.conditional).map((hook) => hook.name);

    const troubles = [
      ...[...refused].map(([why, where]) => `refused in ${named(where, 0)}: ${why}`),
      ...passedOver.map(
        (name) => `webhook ${name} did not answer and was passed over (failurePolicy Ignore)`,
      ),
      ...(untried.length === 0 ? [] : [`not tried in ${named(untried, 0)}`]),
      ...(left.length === 0 ? [] : [`could not be deleted again: ${named(left, 0)}`]),
      ...(found.groupsLeft === 0 ? [] : [`${found.groupsLeft} further kinds of namespaces were not tried`]),
    ];
    const tried = triedWords(found, conditional);
    if (troubles.length === 0) return { outcome: 'pass', detail: tried };
    return {
      outcome: silent ? 'fail' : 'warn',
      detail: [...troubles, tried].join('; '),
      remedy: [
        ...(silent
          ? ['start what the webhook calls, or take its configuration away for the time of the migration']
          : []),
        ...(refused.size > 0 && !silent
          ? [
              'let keyferry\'s user pass, or expect these objects to be refused: each is then named, and holds the cutover until it is mended or waived ("keyferry waive")',
            ]
          : []),
        ...(passedOver.length > 0
          ? ['mend webhooks that are passed over: each update waits until their timeout']
          : []),
        ...(untried.length > 0 ? ['try an update there yourself, such as "kubectl annotate"'] : []),
        ...(left.length > 0 ? ['delete what is left by hand'] : []),
        ...(found.groupsLeft > 0 ? ['see that the webhooks answer for those too'] : []),
      ].join('; '),
    };
  });
}

function triedWords(
  { hooks, probes, namespaces }: AdmissionFindings,
  conditional: readonly string[],
): string {
  if (hooks.length === 0) return 'no webhook or policy is asked about updates';
  const names = hooks.map(({ kind, name, failurePolicy }) => `${kind} ${name} (${failurePolicy})`);
  const where = probes.flatMap(({ namespace }) => namespace ?? []);
  const tried =
    where.length === 0
      ? `tried ${probes.length === 0 ? 'nowhere, for they match no namespace' : 'once'}`
      : `tried in ${named(where, 0)}${namespaces > where.length ? `, which stand for ${namespaces} namespaces` : ''}`;
  const note =
    conditional.length === 0
      ? ''
      : ` (${named(conditional, 0)} only for some objects, by labels or conditions: others may fare otherwise)`;
  return `${named(names, 0)}${note}: ${tried}`;
}

/** Of a refusal's webhook, what its configuration says should happen. */
function policyOf(reason: string, hooks: readonly AdmissionHook[]): string {
  const name = /(?:webhook|policy) ([^ ;]+)/.exec(reason)?.[1];
  const hook = hooks.find((one) => one.name === name);
  return hook === undefined ? '' : ` (${hook.from}, failurePolicy ${hook.failurePolicy})`;
}

function place(namespace: string | undefined, apiServer: string): string {
  return `${namespace ?? 'the cluster'} through ${apiServer}`;
}

/** Each object once, with what was answered and by which API servers. */
function byObject(failures: readonly UnreadObject[]): string[] {
  const objects = new Map<string, Set<string>>();
  for (const { resource, namespace, name, under, apiServer, status, reason } of failures) {
    const place = namespace === undefined ? '' : `${namespace}/`;
    const object = `${resource} ${place}${name} (under ${under}; ${status} ${reason})`;
    objects.set(object, (objects.get(object) ?? new Set()).add(apiServer));
  }
  return [...objects].map(([object, servers]) => `${object} through ${[...servers].sort().join(', ')}`);
}

function named(all: readonly string[], unnamed: number): string {
  const shown = all.slice(0, NAMED).join(', ');
  const more = all.length - Math.min(all.length, NAMED) + unnamed;
  return more === 0 ? shown : `${shown} and ${more} more`;
}
