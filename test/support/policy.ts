import { type ControlPlane } from './control-plane.ts';

const API = '/apis/admissionregistration.k8s.io/v1';
const PATHS = [`${API}/validatingadmissionpolicies`, `${API}/validatingadmissionpolicybindings`] as const;

/** Denies updates of a resource, but of those objects that an expression in CEL holds for, as a cluster's owner may. */
export async function denyUpdates(
  plane: ControlPlane,
  name: string,
  { group, resource }: { group: string; resource: string },
  expression: string,
): Promise<void> {
  const rule = { apiGroups: [group], apiVersions: ['*'], operations: ['UPDATE'], resources: [resource] };
  const specs = [
    { failurePolicy: 'Fail', matchConstraints: { resourceRules: [rule] }, validations: [{ expression }] },
    { policyName: name, validationActions: ['Deny'] },
  ];
  const kinds = ['ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'];
  for (const [i, path] of PATHS.entries()) {
    const body = {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: kinds[i],
      metadata: { name },
      spec: specs[i],
    };
    const { status, text } = await plane.ask('cp-1', 'POST', path, body);
    if (status !== 201) throw new Error(`POST ${path} answered ${status}: ${text}`);
  }
}

/** Takes it back. */
export async function admitUpdates(plane: ControlPlane, name: string): Promise<void> {
  for (const path of PATHS) {
    const { status, text } = await plane.ask('cp-1', 'DELETE', `${path}/${name}`);
    if (status !== 200) throw new Error(`DELETE ${path} answered ${status}: ${text}`);
  }
}
