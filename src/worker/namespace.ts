import { KeyferryError } from '../errors.ts';

/** What whoever named a namespace that a Temporal doesn't have is told. */
export function noNamespace(address: string, namespace: string): KeyferryError {
  return new KeyferryError('NotFoundNamespace', `Temporal at ${address} has no namespace "${namespace}"`, {
    remedy:
      'name one that is there with --temporal-namespace or TEMPORAL_NAMESPACE, or make it: temporal operator namespace create',
  });
}
