import { KeyferryError } from '../errors.ts';
import type { ApiResponse, ApiServer } from './api-server.ts';
import type { Resource } from './resources.ts';

/** A webhook, or a policy with one of its bindings, that an update of some resource goes through. */
export interface AdmissionHook {
  kind: 'webhook' | 'policy';
  /** As an API server's refusal names it. */
  name: string;
  /** The object it stands in: `ValidatingWebhookConfiguration guard`. */
  from: string;
  failurePolicy: 'Fail' | 'Ignore';
  /** All of these must match. */
  matches: Match[];
  /** Whether an object's labels or content decide as well: what was tried with one object may differ for another. */
  conditional: boolean;
}

interface Match {
  rules?: Rule[];
  excludeRules?: Rule[];
  namespaceSelector?: LabelSelector;
}

interface Rule {
  apiGroups?: string[];
  operations?: string[];
  resources?: string[];
  resourceNames?: string[];
  scope?: string;
}

export interface LabelSelector {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}

export interface Namespace {
  name: string;
  labels: Record<string, string>;
}

const API = '/apis/admissionregistration.k8s.io/v1';
const PAGE = 500;
const FAIL_OPEN = /^apiserver_admission_webhook_fail_open_count\{([^}]*)\} ([0-9.e+]+)$/gm;

interface Item {
  metadata: { name: string };
  webhooks?: (MatchFields & { name: string; failurePolicy?: string; rules?: Rule[] })[];
  spec?: {
    failurePolicy?: string;
    matchConstraints?: MatchFields & ResourceRules;
    matchConditions?: unknown[];
    policyName?: string;
    matchResources?: MatchFields & ResourceRules;
    validationActions?: string[];
  };
}

interface MatchFields {
  namespaceSelector?: LabelSelector;
  objectSelector?: LabelSelector;
  matchConditions?: unknown[];
}

interface ResourceRules {
  resourceRules?: Rule[];
  excludeResourceRules?: Rule[];
}

/**
 * Every admission webhook of the cluster, and every policy that may deny, once for each of its bindings.
 *
 * @throws KeyferryError `UnavailableAdmission` where an API server doesn't list them
 */
export async function admissionHooks(server: ApiServer): Promise<AdmissionHook[]> {
  const webhooks = await Promise.all(
    ['Validating', 'Mutating'].map(async (kind) => {
      const all = await listed(server, `${API}/${kind.toLowerCase()}webhookconfigurations`);
      return all.flatMap((item) => webhooksOf(item, `${kind}WebhookConfiguration`));
    }),
  );
  const policies = await Promise.all(
    ['Validating', 'Mutating'].map(async (kind) => {
      const path = `${API}/${kind.toLowerCase()}admissionpolic`;
      const [all, bindings] = await Promise.all([
        listed(server, `${path}ies`),
        listed(server, `${path}ybindings`),
      ]);
      return bindings.flatMap((binding) => policyOf(binding, all, `${kind}AdmissionPolicy`));
    }),
  );
  return [...webhooks, ...policies].flat();
}

/** Those that an update of a resource goes through in some namespace, whatever the object. */
export function hooksOn(resource: Resource, hooks: readonly AdmissionHook[]): AdmissionHook[] {
  return hooks.filter((hook) =>
    hook.matches.every(
      ({ rules, excludeRules = [] }) =>
        (rules === undefined || rules.some((rule) => covers(rule, resource))) &&
        // A rule with names in it takes single objects out, not the resource.
        !excludeRules.some((rule) => rule.resourceNames === undefined && covers(rule, resource)),
    ),
  );
}

/** Whether a hook is asked about objects of a namespace. */
export function appliesIn(hook: AdmissionHook, { labels }: Namespace): boolean {
  return hook.matches.every(({ namespaceSelector }) => selects(namespaceSelector ?? {}, labels));
}

/** Namespaces that take objects: those that are being deleted don't. */
export async function activeNamespaces(server: ApiServer): Promise<Namespace[]> {
  const items = (await listed(server, '/api/v1/namespaces')) as unknown as {
    metadata: { name: string; labels?: Record<string, string>; deletionTimestamp?: string };
  }[];
  return items
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map(({ metadata: { name, labels = {} } }) => ({ name, labels }));
}

/** How often each webhook was passed over since a server started, because it didn't answer and says Ignore. */
export async function passedOver(server: ApiServer): Promise<Map<string, number>> {
  const { text } = await server.request({ method: 'GET', path: '/metrics', timeoutMs: 10_000 });
  const counts = new Map<string, number>();
  for (const [, labels = '', count] of text.matchAll(FAIL_OPEN)) {
    const name = /(?:^|,)name="([^"]*)"/.exec(labels)?.[1] ?? '';
    counts.set(name, (counts.get(name) ?? 0) + Number(count));
  }
  return counts;
}

/**
 * All items of a kind, page by page. Once etcd is compacted the rest can't be had as it was, and the answer is 410: then all are
 * asked for at once, for the next pages may end so too.
 */
async function listed(server: ApiServer, path: string): Promise<Item[]> {
  const get = async (query: string) => await server.request({ method: 'GET', path: `${path}${query}` });
  const items: Item[] = [];
  for (let next = ''; ;) {
    const token = next === '' ? '' : `&continue=${encodeURIComponent(next)}`;
    const response = await get(`?limit=${PAGE}${token}`);
    if (response.status === 410) return pageOf(server, path, await get('')).items;
    const page = pageOf(server, path, response);
    items.push(...page.items);
    ({ next } = page);
    if (next === '') return items;
  }
}

function pageOf(
  { name }: ApiServer,
  path: string,
  { status, body }: ApiResponse,
): { items: Item[]; next: string } {
  // A kind that this version doesn't serve has no objects.
  if (status === 404) return { items: [], next: '' };
  if (status !== 200) {
    throw new KeyferryError('UnavailableAdmission', `${name} answered ${status} to ${path}`, {
      remedy: "let the kubeconfig's user list what deploy/rbac.yaml says",
      retryable: status === 429 || status >= 500,
    });
  }
  const { items = [], metadata } = body as { items?: Item[]; metadata?: { continue?: string } };
  return { items, next: metadata?.continue ?? '' };
}

function webhooksOf({ metadata, webhooks = [] }: Item, kind: string): AdmissionHook[] {
  return webhooks.map((webhook) => ({
    kind: 'webhook',
    name: webhook.name,
    from: `${kind} ${metadata.name}`,
    failurePolicy: webhook.failurePolicy === 'Ignore' ? 'Ignore' : 'Fail',
    matches: [matchOf(webhook, webhook.rules ?? [])],
    conditional: isConditional(webhook),
  }));
}

function policyOf(binding: Item, policies: readonly Item[], kind: string): AdmissionHook[] {
  const policy = policies.find(({ metadata }) => metadata.name === binding.spec?.policyName);
  const { matchConstraints = {}, matchConditions = [], failurePolicy } = policy?.spec ?? {};
  const { matchResources = {}, validationActions } = binding.spec ?? {};
  // Without "Deny" it only warns and audits; policies that mutate have no such actions.
  if (policy === undefined || validationActions?.includes('Deny') === false) return [];
  const { resourceRules: bound } = matchResources;
  return [
    {
      kind: 'policy',
      name: policy.metadata.name,
      from: `${kind} ${policy.metadata.name}, bound by ${binding.metadata.name}`,
      failurePolicy: failurePolicy === 'Ignore' ? 'Ignore' : 'Fail',
      matches: [
        matchOf(
          matchConstraints,
          matchConstraints.resourceRules ?? [],
          matchConstraints.excludeResourceRules,
        ),
        // A binding without rules takes all that the policy has.
        matchOf(matchResources, bound?.length === 0 ? undefined : bound, matchResources.excludeResourceRules),
      ],
      conditional:
        matchConditions.length > 0 || isConditional(matchConstraints) || isConditional(matchResources),
    },
  ];
}

function matchOf(fields: MatchFields, rules?: Rule[], excludeRules?: Rule[]): Match {
  return {
    ...(rules === undefined ? {} : { rules }),
    ...(excludeRules === undefined ? {} : { excludeRules }),
    ...(fields.namespaceSelector === undefined ? {} : { namespaceSelector: fields.namespaceSelector }),
  };
}

function isConditional({ objectSelector = {}, matchConditions = [] }: MatchFields): boolean {
  const { matchLabels = {}, matchExpressions = [] } = objectSelector;
  return matchConditions.length + matchExpressions.length + Object.keys(matchLabels).length > 0;
}

/** Versions aren't looked at: by default ("Equivalent") a rule for one holds for all. */
function covers(rule: Rule, resource: Resource): boolean {
  const [group = ''] = resource.apiVersion.includes('/') ? resource.apiVersion.split('/') : [''];
  const has = (all: readonly string[] | undefined, one: string): boolean =>
    all?.some((each) => each === '*' || each === one) ?? false;
  const named = rule.resources?.some((each) => {
    const [plural, subresource = ''] = each.split('/');
    return (plural === '*' || plural === resource.plural) && (subresource === '' || subresource === '*');
  });
  const inScope =
    rule.scope === undefined ||
    rule.scope === '*' ||
    rule.scope === (resource.namespaced ? 'Namespaced' : 'Cluster');
  return has(rule.operations, 'UPDATE') && has(rule.apiGroups, group) && (named ?? false) && inScope;
}

/** Kubernetes' label selectors; one without anything selects all. */
export function selects(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector;
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      switch (operator) {
        case 'In':
          return value !== undefined && values.includes(value);
        case 'NotIn':
          return value === undefined || !values.includes(value);
        case 'Exists':
          return value !== undefined;
        case 'DoesNotExist':
          return value === undefined;
        default:
          // An operator of a later version: better tried than passed over.
          return true;
      }
    })
  );
}
