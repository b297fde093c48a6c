import { createHash } from 'node:crypto';
import type { ApiResponse, ApiServer } from '../cluster/api-server.ts';
import { explain, type Explanation } from '../cluster/refusal.ts';
import { objectPath, type Resource } from '../cluster/resources.ts';
import { inVersion } from '../cluster/storage-version.ts';
import { KeyferryError } from '../errors.ts';
import { outcomeOf } from './outcome.ts';

/** What became of an object that was converted to its storage version and back. */
export type RoundTrip =
  | { kind: 'kept' | 'gone' }
  /** Whether it keeps everything can't be asked: an admission webhook takes no dry run. */
  | { kind: 'untried' }
  | { kind: 'refused'; status?: number; why: Explanation };

/** Which objects are tried, before they are rewritten. */
export interface Trial {
  /** The versions, other than the storage version, in which objects may lie. */
  apiVersions: readonly string[];
  /** One object of so many. */
  every: number;
  /** Nothing is rewritten afterwards: another one does that. */
  only?: true;
}

/** Fields of metadata that are no content: each write may change them. */
const PASSING = new Set(['managedFields', 'resourceVersion', 'generation']);
const ATTEMPTS = 4;
/** Fields that are named. */
const MAX_FIELDS = 5;
const MAX_FIELD = 80;

/** Whether an object is among those that are tried: the same ones each time. */
export function isTried({ every }: Trial, key: string): boolean {
  return every === 1 || createHash('sha256').update(key).digest().readUInt32BE(0) % every === 0;
}

/**
 * Tries the conversion of an object from each version in which it may lie. What one API server can't do another may, for each
 * calls webhooks by itself: it is refused where none can.
 *
 * @returns what must be mended before it is rewritten; undefined where nothing
 * @throws KeyferryError, retryable, for an answer that says nothing of the object
 */
export async function tryConversion(
  servers: readonly ApiServer[],
  resource: Resource,
  object: { namespace?: string; name: string },
  apiVersions: readonly string[],
): Promise<Extract<RoundTrip, { kind: 'refused' }> | undefined> {
  for (const apiVersion of apiVersions) {
    let refused: Extract<RoundTrip, { kind: 'refused' }> | undefined;
    for (const server of servers) {
      const tried = await roundTrip(server, inVersion(resource, apiVersion), object);
      refused = tried.kind === 'refused' ? tried : undefined;
      if (refused?.status !== 500) break;
    }
    if (refused !== undefined) return refused;
  }
  return undefined;
}

/**
 * Converts an object to its storage version and back, and compares what it says; writes nothing.
 *
 * A dry run of an update that changes nothing, in the old version: an API server encodes what it would store, and answers
 * with what it reads of that (DryRunnableStorage in k8s.io/apiserver). A field that only appears is no loss: a default.
 *
 * @param resource - in the version in which the object is asked for
 * @throws KeyferryError, retryable, for an answer that says nothing of the object
 */
export async function roundTrip(
  server: ApiServer,
  resource: Resource,
  object: { namespace?: string; name: string },
): Promise<RoundTrip> {
  const path = objectPath(resource, object);
  let why = '';
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const before = await server.request({ method: 'GET', path });
    const read = answered(before);
    if (read.kind === 'again') {
      ({ why } = read);
      continue;
    }
    if (read.kind !== 'done') return read;
    const { resourceVersion } = (before.body as { metadata: { resourceVersion: string } }).metadata;
    const after = await server.request({
      method: 'PATCH',
      path: `${path}?dryRun=All&fieldManager=keyferry`,
      headers: { 'content-type': 'application/merge-patch+json' },
      body: { metadata: { resourceVersion } },
    });
    const tried = answered(after);
    if (tried.kind === 'again') {
      ({ why } = tried);
      continue;
    }
    if (tried.kind !== 'done') return tried;
    const lost = lostFields(before.body, after.body);
    return lost.length === 0 ? { kind: 'kept' } : { kind: 'refused', why: lossy(resource, lost) };
  }
  throw new KeyferryError(
    'UnavailableObject',
    `whether the conversion of an object of ${resource.name} keeps all could not be tried: ${server.name} answered ${why}`,
    { remedy: 'keyferry goes on as soon as the API servers answer', retryable: true },
  );
}

function answered(
  response: ApiResponse,
): { kind: 'done' } | { kind: 'again'; why: string } | Exclude<RoundTrip, { kind: 'kept' }> {
  const outcome = outcomeOf(response);
  if (outcome.kind === 'done') return { kind: 'done' };
  if (outcome.kind === 'gone') return { kind: 'gone' };
  if (outcome.kind === 'again') return { kind: 'again', why: outcome.why };
  if (response.status === 400 && /does not support dry run/.test(response.text)) return { kind: 'untried' };
  return { kind: 'refused', status: outcome.status, why: explain(response) };
}

function lossy({ apiVersion }: Resource, lost: readonly string[]): Explanation {
  const more = lost.length - MAX_FIELDS;
  const named = lost.slice(0, MAX_FIELDS).join(', ');
  return {
    reason: `converted to the storage version and back to ${apiVersion} it loses or changes ${named}${more > 0 ? ` and ${more} more` : ''}; it was not rewritten`,
    remedy:
      'let the conversion (the webhook under spec.conversion of the CustomResourceDefinition, or the schema that prunes) keep these fields both ways; then resume',
  };
}

/** The fields of an object that aren't there, or say something else, in another. Names of fields only, never what they say. */
export function lostFields(before: unknown, after: unknown): string[] {
  const lost: string[] = [];
  walk(withoutPassing(before), withoutPassing(after), '', lost);
  return lost;
}

function walk(before: unknown, after: unknown, path: string, lost: string[]): void {
  if (Array.isArray(before)) {
    if (!Array.isArray(after) || after.length !== before.length) lost.push(named(path));
    else before.forEach((one, i) => walk(one, after[i], `${path}[]`, lost));
    return;
  }
  if (isObject(before)) {
    if (!isObject(after)) {
      lost.push(named(path));
      return;
    }
    for (const [field, value] of Object.entries(before))
      walk(value, after[field], path === '' ? field : `${path}.${field}`, lost);
    return;
  }
  if (before !== after) lost.push(named(path));
}

function withoutPassing(object: unknown): unknown {
  if (!isObject(object) || !isObject(object['metadata'])) return object;
  const metadata = Object.entries(object['metadata']).filter(([field]) => !PASSING.has(field));
  return { ...object, metadata: Object.fromEntries(metadata) };
}

function isObject(given: unknown): given is Record<string, unknown> {
  return typeof given === 'object' && given !== null && !Array.isArray(given);
}

function named(path: string): string {
  return path.length <= MAX_FIELD ? path : `${path.slice(0, MAX_FIELD)}…`;
}
