import type { Resource } from './resources.ts';

export const SECRETS: Resource = {
  name: 'secrets',
  apiPath: '/api/v1',
  apiVersion: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  namespaced: true,
  etcdPrefix: '/registry/secrets/',
};
