/** How the cluster serves StorageVersionMigrations, as its discovery and its schema say. */
export interface NativeApi {
  /** `storagemigration.k8s.io/v1beta1` */
  apiVersion: string;
  /** Fields of `spec.resource`: 1.30 has a version among them, 1.35 and later haven't. */
  fields: readonly string[];
}

/** A condition of a StorageVersionMigration; its message isn't kept, for it may quote an object. */
export interface NativeCondition {
  type: string;
  status: string;
  reason: string;
  /** When it came to be so, as the cluster tells it. */
  at: string;
}

/** A StorageVersionMigration of the cluster, as far as it is looked at. */
export interface NativeObject {
  name: string;
  uid: string;
  /** `metadata.resourceVersion`: changes with each change of it. */
  revision: string;
  createdAt: string;
  /** What it migrates: `secrets`, `widgets.example.com`. */
  resource: string;
  /** `status.resourceVersion`: objects up to it are rewritten. Its controller writes nothing before it is there. */
  resourceVersion?: string;
  conditions: NativeCondition[];
  /** Why it failed, in words that hold nothing of an object. */
  why?: string;
}

/** The Lease by which one kube-controller-manager works and the others wait. Times in milliseconds since the epoch. */
export interface ControllerLease {
  holder: string;
  acquiredAt: number;
  renewedAt: number;
  durationMs: number;
}

/** What one look showed. */
export interface NativeLook {
  /** Milliseconds since the epoch. */
  at: number;
  /** Absent where there is none of that name (any more). */
  object?: NativeObject;
  /** Absent where there is none: no kube-controller-manager runs, or one that elects no leader. */
  controller?: ControllerLease;
  /** Others of the same resource that haven't ended: the controller runs one after another. */
  others: readonly string[];
}

/** What is remembered from look to look; times in milliseconds since the epoch. */
export interface NativeMemory {
  askedAt: number;
  takenUp: boolean;
  /** Since when it is known to have succeeded or failed. */
  endedAt?: number;
  /** Since when it is known to be deleted. */
  goneAt?: number;
  /** Why keyferry deleted it, where it did. */
  withdrawn?: { outcome: NativeOutcome; why: string };
}

/**
 * How a StorageVersionMigration ended. `NotTakenUp`: no controller began with it. `Abandoned`: its controller is gone.
 * `Deleted`: by somebody else.
 */
export type NativeOutcome = 'Succeeded' | 'Failed' | 'NotTakenUp' | 'Abandoned' | 'Deleted';

/** What is kept of one that has ended. */
export interface NativeEvidence {
  name: string;
  uid: string;
  apiVersion: string;
  resource: string;
  /** Where the objects were to be brought. */
  side: 'source' | 'target';
  outcome: NativeOutcome;
  why?: string;
  /** As the cluster tells it; and when keyferry saw that it had ended, in milliseconds since the epoch. */
  createdAt: string;
  endedAt: number;
  resourceVersion?: string;
  conditions: NativeCondition[];
  /** Objects of the resource that the next census found outside; absent before it. */
  left?: number;
}

/** Whether it did what it was asked for, as far as is known. */
export function delivered({ outcome, left = 0 }: NativeEvidence): boolean {
  return outcome === 'Succeeded' && left === 0;
}

export type NativeNext =
  /** `idle`: nothing is being written, or nobody knows. */
  | { kind: 'follow'; words: string; idle: boolean }
  /** It is to be deleted, if it is still as it was seen; then it is looked at again. */
  | { kind: 'withdraw'; outcome: NativeOutcome; why: string }
  /** `writerLeft`: whether its controller may write on, and nothing can tell. */
  | { kind: 'end'; outcome: NativeOutcome; why?: string; writerLeft: boolean };

/** How long a controller may take until it begins, or until another one takes over. */
export const TAKE_UP_MS = 3 * 60_000;
/** A Lease that ran out is taken for one only so long afterwards: clocks differ, and its holder needs a moment to end. */
const RAN_OUT_MS = 60_000;
/** Clocks of a cluster agree within so many milliseconds, or preflight warns. */
const CLOCKS_MS = 5_000;

const ENABLE = '--feature-gates=StorageVersionMigrator=true';
/** Takes in what a look showed. */
export function remember(memory: NativeMemory, look: NativeLook): NativeMemory {
  const { object } = look;
  if (object === undefined) return { ...memory, goneAt: memory.goneAt ?? look.at };
  const ended = endOf(object) !== undefined;
  return {
    ...memory,
    takenUp: memory.takenUp || object.resourceVersion !== undefined,
    ...(ended ? { endedAt: memory.endedAt ?? look.at } : {}),
  };
}

/**
 * What follows from a look: pure.
 *
 * A controller that runs can't be stopped: it looks at the StorageVersionMigration before it begins and after it has ended,
 * and not in between (kubernetes' pkg/controller/storageversionmigrator: `runMigration` walks its cache to the end, or to the
 * first error). So deleting one doesn't end the writing. That it has ended is known from its own conditions, or when its
 * process is: by the Lease.
 *
 * @param memory - with this look taken in
 * @param stopping - whether whoever asked for it wants no more of it
 */
export function nextOfNative(
  name: string,
  look: NativeLook,
  memory: NativeMemory,
  stopping: boolean,
): NativeNext {
  const { object, controller, at } = look;
  if (object === undefined) return nextOfGone(name, controller, memory, at);
  const ended = endOf(object);
  if (ended !== undefined) return nextOfEnded(object, ended, at - (memory.endedAt ?? at));
  return object.resourceVersion === undefined
    ? nextOfUntaken(object, look, memory, stopping)
    : nextOfRunning(object, controller, at, stopping);
}

function endOf(object: NativeObject): 'Failed' | 'Succeeded' | undefined {
  return (['Failed', 'Succeeded'] as const).find((type) => isTrue(object, type));
}

/**
 * One that has ended is put away by another part of its controller (`migrationrunner.go` since 1.36): that trims the definition's
 * `status.storedVersions`, and then says that it isn't running any more. Once it is deleted nothing does that.
 */
function nextOfEnded(object: NativeObject, outcome: 'Failed' | 'Succeeded', sinceMs: number): NativeNext {
  const why = object.why === undefined ? {} : { why: object.why };
  if (!isTrue(object, 'Running')) return { kind: 'end', outcome, ...why, writerLeft: false };
  if (sinceMs > TAKE_UP_MS) return { kind: 'withdraw', outcome, why: object.why ?? 'nobody put it away' };
  const words = `${object.name} says ${outcome}, and waits for kube-controller-manager to put it away`;
  return { kind: 'follow', idle: true, words };
}

function isTrue({ conditions }: NativeObject, type: string): boolean {
  return conditions.some((condition) => condition.type === type && condition.status === 'True');
}

function nextOfUntaken(
  { name, resource }: NativeObject,
  { at, controller, others }: NativeLook,
  { askedAt }: NativeMemory,
  stopping: boolean,
): NativeNext {
  if (stopping)
    return { kind: 'withdraw', outcome: 'NotTakenUp', why: 'it was withdrawn before it was begun' };
  const [first] = others;
  if (first !== undefined) {
    const words = `${name} waits for ${first}, another one of ${resource}`;
    return { kind: 'follow', idle: true, words };
  }
  const why = whyUntaken(controller, at);
  if (at - askedAt > TAKE_UP_MS) return { kind: 'withdraw', outcome: 'NotTakenUp', why };
  return { kind: 'follow', idle: true, words: `${name} waits for a controller: ${why}` };
}

/** Why nobody takes one up, as far as the Lease tells. */
export function whyUntaken(controller: ControllerLease | undefined, at: number): string {
  if (controller === undefined) {
    return `there is no Lease kube-controller-manager in kube-system; run it with ${ENABLE}`;
  }
  if (ranOut(controller, at)) {
    const since = new Date(controller.renewedAt).toISOString();
    return `no kube-controller-manager has renewed its Lease since ${since}; run it with ${ENABLE}`;
  }
  return `kube-controller-manager (${controller.holder}) doesn't begin; run it with ${ENABLE}, and with its controller storage-version-migrator-controller`;
}

function nextOfRunning(
  { name, resource }: NativeObject,
  controller: ControllerLease | undefined,
  at: number,
  stopping: boolean,
): NativeNext {
  if (controller !== undefined && ranOut(controller, at)) {
    const since = new Date(controller.renewedAt).toISOString();
    const why = `kube-controller-manager hasn't renewed its Lease since ${since}`;
    // Another one may take over.
    if (stopping || at - controller.renewedAt > TAKE_UP_MS)
      return { kind: 'withdraw', outcome: 'Abandoned', why };
    return { kind: 'follow', idle: true, words: `${name} waits for another controller: ${why}` };
  }
  if (!stopping) {
    return { kind: 'follow', idle: false, words: `kube-controller-manager rewrites ${resource} for ${name}` };
  }
  return {
    kind: 'follow',
    idle: false,
    words: `kube-controller-manager rewrites ${resource}, which nothing stops; sooner: kubectl delete storageversionmigration ${name}, then restart it`,
  };
}

/**
 * What is to be told of one that runs and moves nothing; undefined where it may just be slow. Nobody says why: its controller
 * tries again for ever where an API server answers with an internal error, and looks at what needs nothing as well.
 *
 * @param movedAt - when it was last seen to have moved any, or began
 */
export function wordsOfStill(name: string, movedAt: number, at: number): string | undefined {
  if (at - movedAt < TAKE_UP_MS) return undefined;
  const since = new Date(movedAt).toISOString();
  return `${name} has moved nothing since ${since}: either what it looks at needs nothing, or kube-controller-manager repeats what an API server answers with an error (is a webhook down?); see its log`;
}

function nextOfGone(
  name: string,
  controller: ControllerLease | undefined,
  { takenUp, endedAt, goneAt, withdrawn }: NativeMemory,
  at: number,
): NativeNext {
  const how: { outcome: NativeOutcome; why: string } = withdrawn ?? {
    outcome: 'Deleted',
    why: 'somebody deleted it',
  };
  const end = { ...how, kind: 'end' } as const;
  // Whatever was to be written was written when it ended.
  if (!takenUp || endedAt !== undefined) return { ...end, writerLeft: false };
  if (controller === undefined) return { ...end, writerLeft: true };
  // One that was elected later never saw it.
  if (ranOut(controller, at) || controller.acquiredAt > (goneAt ?? at) + CLOCKS_MS)
    return { ...end, writerLeft: false };
  return {
    kind: 'follow',
    idle: false,
    words: `${name} was deleted, and kube-controller-manager (${controller.holder}) writes on until it is done; sooner: restart it`,
  };
}

/** Whether a Lease's holder can't be at work any more: one that can't renew it in time ends its process. */
export function ranOut({ renewedAt, durationMs }: ControllerLease, at: number): boolean {
  return at > renewedAt + durationMs + RAN_OUT_MS;
}
