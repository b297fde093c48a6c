import type { ObjectName } from './tally.ts';
import type { Observed } from './transition.ts';

/** An object that a person gave up: no API server can read it, and it may stay as it is. */
export interface Waiver extends ObjectName {
  actor: string;
  /** Whether Temporal acknowledged the message to a client that named its actor. */
  verified: boolean;
  reason: string;
  /** When it was asked for, in milliseconds since the epoch. */
  at: number;
  /** What the API servers were seen to answer; absent until they were asked. */
  proof?: WaiverProof;
}

export interface WaiverProof extends WaivedValue {
  /** Why no API server can read it; never a message, which may quote data. */
  found: string;
}

/** The value that nobody could read. Another one under the same key is no longer waived. */
export interface WaivedValue {
  /** Its key in etcd. */
  key: string;
  modRevision: number;
}

export type WaiverVerdict =
  | ({ holds: true } & WaiverProof)
  /** Some server can read it, or it is gone. */
  | { holds: false; why: string };

export const MAX_WAIVERS = 100;

/** How a person names an object: `secrets/ns/name`, or `widgets.example.com/name` where it has no namespace. */
export function objectId({ resource, namespace, name }: ObjectName): string {
  return [resource, namespace, name].filter((part) => part !== undefined).join('/');
}

/** The objects that a waiver may be about, by {@link objectId}. */
export interface Refusing {
  /** Named as refused, unknown or unreadable by the last pass, census or reads. */
  listed: ReadonlySet<string>;
  waived: ReadonlySet<string>;
}

/** What a migration knows of the objects that make difficulties. */
interface Known {
  refusals: readonly ObjectName[];
  census?: { unknownExamples: readonly ObjectName[]; outsideExamples: readonly ObjectName[] };
  reads?: { failures: readonly ObjectName[] };
  waivers: readonly Waiver[];
}

/** The objects that a waiver may be about, and those that were waived. */
export function refusing(known: Known): Refusing {
  return {
    listed: new Set(difficult(known).map(objectId)),
    waived: new Set(known.waivers.map(objectId)),
  };
}

/** A waiver of an object that {@link refusing} lists. */
export function waiverOf(
  known: Known,
  asked: { object?: string; actor: string; reason: string },
  verified: boolean,
  at: number,
): Waiver {
  const found = difficult(known).find((one) => objectId(one) === asked.object);
  if (found === undefined) throw new Error(`${asked.object ?? 'nothing'} was admitted, and isn't listed`);
  const { resource, namespace, name } = found;
  return {
    resource,
    ...(namespace === undefined ? {} : { namespace }),
    name,
    actor: asked.actor,
    verified,
    reason: asked.reason,
    at,
  };
}

function difficult({ refusals, census, reads }: Known): ObjectName[] {
  return [
    ...refusals,
    ...(census?.unknownExamples ?? []),
    ...(census?.outsideExamples ?? []),
    ...(reads?.failures ?? []),
  ];
}

/** The values that are waived: those that were shown to be unreadable. */
export function provenWaivers(waivers: readonly Waiver[]): WaivedValue[] {
  return waivers.flatMap(({ proof }) =>
    proof === undefined ? [] : [{ key: proof.key, modRevision: proof.modRevision }],
  );
}

/** By key, the revision of what is waived. */
export function waivedValues(waived: readonly WaivedValue[]): ReadonlyMap<string, number> {
  return new Map(waived.map(({ key, modRevision }) => [key, modRevision]));
}

/**
 * Whether every API server has both providers: only then is it the value's fault if none can read it. Once a side is on
 * its way out, what it sealed reads as garbage.
 */
export function everyServerReadsBoth(seen: Observed): boolean {
  return seen.servers.every((server) =>
    server.mayRun.every((one) => one === 'target-reads' || one === 'target-writes'),
  );
}
