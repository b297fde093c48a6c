import { describe, expect, it } from '@jest/globals';
import type { NativeApi } from './native-migration.ts';
import { judgeController, judgeNativeServing } from './preflight-native.ts';

const api: NativeApi = { apiVersion: 'storagemigration.k8s.io/v1beta1', fields: ['group', 'resource'] };
const NOW = Date.parse('2026-01-01T12:00:00Z');

describe('preflight of the engine StorageVersionMigration', () => {
  it('passes where every API server serves it, in one version', () => {
    expect(
      judgeNativeServing({
        answer: [
          { name: 'cp-1', api },
          { name: 'cp-2', api },
        ],
      }),
    ).toEqual({
      name: 'engine StorageVersionMigration served',
      outcome: 'pass',
      detail: 'storagemigration.k8s.io/v1beta1',
    });
  });

  it('names the feature gate where it is off, and on which server', () => {
    const check = judgeNativeServing({
      answer: [
        { name: 'cp-1', api },
        { name: 'cp-2', gate: false },
      ],
    });
    expect(check).toMatchObject({
      outcome: 'fail',
      detail: 'cp-2 has the feature gate StorageVersionMigrator off',
    });
    expect(check.remedy).toContain('--feature-gates=StorageVersionMigrator=true');
    expect(check.remedy).toContain('--runtime-config=storagemigration.k8s.io/v1beta1=true');
    expect(check.remedy).toContain('engine APIServer');
  });

  it('names the runtime-config alone where the gate is on', () => {
    const check = judgeNativeServing({ answer: [{ name: 'cp-1', gate: true }] });
    expect(check).toMatchObject({ outcome: 'fail', detail: "cp-1 doesn't serve storagemigration.k8s.io" });
    expect(check.remedy).not.toContain('--feature-gates');
    expect(check.remedy).toContain('--runtime-config');
  });

  it('fails where the API servers serve different versions', () => {
    const older = { ...api, apiVersion: 'storagemigration.k8s.io/v1alpha1' };
    expect(
      judgeNativeServing({
        answer: [
          { name: 'cp-1', api },
          { name: 'cp-2', api: older },
        ],
      }),
    ).toMatchObject({ outcome: 'fail', detail: expect.stringContaining('cp-2 serves') });
  });

  it.each([
    ['no Lease', undefined, 'warn'],
    ['a Lease that ran out', { renewedAt: NOW - 600_000 }, 'warn'],
    ['a Lease that is held', { renewedAt: NOW - 1_000 }, 'pass'],
  ])('with %s of kube-controller-manager', (_, lease, outcome) => {
    const answer = lease && { holder: 'cp-1_a', acquiredAt: NOW - 900_000, durationMs: 15_000, ...lease };
    expect(judgeController({ answer }, NOW)).toMatchObject({ outcome });
  });
});
