import { describe, expect, it } from '@jest/globals';
import { resourceFields, whyFailed } from './native-migration.ts';

/** As the OpenAPI v3 documents of 1.30 and 1.36 have it, cut to what is looked at. */
function document(version: string, resource: string, fields: readonly string[]): unknown {
  const own = `io.k8s.api.storagemigration.${version}`;
  const reference = (name: string) => ({
    allOf: [{ $ref: `#/components/schemas/${name}` }],
    default: {},
    description: 'what it is',
  });
  return {
    components: {
      schemas: {
        [resource]: {
          properties: Object.fromEntries(fields.map((field) => [field, { type: 'string' }])),
          type: 'object',
        },
        [`${own}.StorageVersionMigration`]: {
          properties: {
            kind: { type: 'string' },
            spec: reference(`${own}.StorageVersionMigrationSpec`),
          },
          'x-kubernetes-group-version-kind': [
            { group: 'storagemigration.k8s.io', kind: 'StorageVersionMigration', version },
          ],
        },
        [`${own}.StorageVersionMigrationSpec`]: {
          properties: { continueToken: { type: 'string' }, resource: reference(resource) },
          required: ['resource'],
        },
      },
    },
  };
}

describe('the schema of StorageVersionMigrations', () => {
  it('has no version of the resource in 1.36, and one in 1.30', () => {
    expect(
      resourceFields(
        document('v1beta1', 'io.k8s.apimachinery.pkg.apis.meta.v1.GroupResource', ['group', 'resource']),
      ),
    ).toEqual(['group', 'resource']);
    expect(
      resourceFields(
        document('v1alpha1', 'io.k8s.api.storagemigration.v1alpha1.GroupVersionResource', [
          'group',
          'resource',
          'version',
        ]),
      ),
    ).toEqual(['group', 'resource', 'version']);
  });
  it('is unknown where there is none of the kind', () => {
    for (const given of [undefined, {}, { components: { schemas: {} } }]) {
      expect(resourceFields(given)).toEqual([]);
    }
  });
});

describe('why a StorageVersionMigration failed', () => {
  const reason = 'StorageVersionMigrationFailed';
  it('names the webhook or policy that refused, and what the controller says itself', () => {
    expect(whyFailed(reason, 'error: admission webhook "no.example.com" denied the request: s3cret')).toBe(
      `${reason}; denied by webhook no.example.com`,
    );
    expect(
      whyFailed(reason, 'Internal error occurred: failed calling webhook "no.example.com": dial tcp'),
    ).toBe(`${reason}; webhook no.example.com did not answer`);
    expect(whyFailed(reason, 'migration encountered unhandled error: resource does not exist in GC')).toBe(
      `${reason}; resource does not exist in GC`,
    );
  });
  it('repeats nothing else, for it may be quoted from an object', () => {
    expect(whyFailed(reason, 'Secret "a" is invalid: data[x]: Invalid value: "s3cret"')).toBe(reason);
    expect(whyFailed()).toBe('Failed');
  });
});
