import { whyUntaken, ranOut, type ControllerLease, type NativeApi } from './native-migration.ts';
import { failed, judged, type Asked, type Check } from './preflight.ts';

/** How one API server serves StorageVersionMigrations. */
export interface NativeServing {
  name: string;
  /** Absent where it serves none. */
  api?: NativeApi;
  /** Whether its feature gate is on, as its metrics tell; absent where they don't. */
  gate?: boolean;
}

const NAME = 'engine StorageVersionMigration served';
const INSTEAD = 'or take the engine APIServer';

/** Whether every API server serves StorageVersionMigrations, in one version: pure. */
export function judgeNativeServing(asked: Asked<readonly NativeServing[]>): Check {
  return judged(NAME, asked, (servers) => {
    const without = servers.filter(({ api }) => api === undefined);
    if (without.length > 0) {
      const why = without.map(
        ({ name, gate }) =>
          `${name} ${gate === false ? 'has the feature gate StorageVersionMigrator off' : "doesn't serve storagemigration.k8s.io"}`,
      );
      const gate = without.some((one) => one.gate !== true)
        ? ['--feature-gates=StorageVersionMigrator=true (and so kube-controller-manager)']
        : [];
      return {
        outcome: 'fail',
        detail: why.join('; '),
        remedy: `start every kube-apiserver with ${[...gate, '--runtime-config=storagemigration.k8s.io/v1beta1=true (1.35 and 1.36; v1alpha1 before)'].join(' and ')}; ${INSTEAD}`,
      };
    }
    const versions = [...new Set(servers.map(({ api }) => api?.apiVersion))];
    if (versions.length > 1) {
      return {
        outcome: 'fail',
        detail: servers.map(({ name, api }) => `${name} serves ${api?.apiVersion}`).join('; '),
        remedy: `let every kube-apiserver serve the same version; ${INSTEAD}`,
      };
    }
    return { outcome: 'pass', detail: versions.join() };
  });
}

/** Whether anybody seems to be there who carries one out: pure. That its controller is enabled shows only when it begins. */
export function judgeController(asked: Asked<ControllerLease | undefined>, at: number): Check {
  const name = 'kube-controller-manager';
  if ('trouble' in asked) return failed(name, asked.trouble);
  const { answer: controller } = asked;
  if (controller !== undefined && !ranOut(controller, at)) {
    return {
      name,
      outcome: 'pass',
      detail: `${controller.holder} holds its Lease; whether its storage version migrator is enabled shows when it begins`,
    };
  }
  return {
    name,
    outcome: 'warn',
    detail: whyUntaken(controller, at),
    remedy: `without it nothing is begun, and after some minutes the engine APIServer rewrites everything`,
  };
}

/** What whoever moves storage versions by the engine should know, whatever the cluster is like. */
export const EARLY_TRIM_CHECK: Check = {
  name: 'trim by the storage version migrator',
  outcome: 'warn',
  detail:
    'kube-controller-manager (since 1.36) removes the old versions from status.storedVersions as soon as it has ended, also when it failed, and before anything is proven or approved; keyferry puts them back at once, and removes them after its own proof and the approval',
  remedy:
    'change no definition meanwhile: in between, an API server would let a version go that objects may lie in; where that may not be, take the engine APIServer',
};

/** What whoever chooses the engine should know, whatever the cluster is like. */
export const UNSTOPPABLE_CHECK: Check = {
  name: 'pause of the storage version migrator',
  outcome: 'warn',
  detail:
    "the engine StorageVersionMigration can be neither slowed down nor stopped: spec.pace isn't kept, and a pause or a rollback waits until kube-controller-manager has ended the resources that it has begun",
  remedy: 'to pause at any time, take the engine APIServer',
};
