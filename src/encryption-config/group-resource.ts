/** A resource as configurations name it: `secrets`, `widgets.example.com`, `*.apps`, `*.` (the core group), `*.*`. */
export interface GroupResource {
  readonly resource: string;
  /** Empty for the core group. */
  readonly group: string;
}

/** Everything after the first dot is the group; `secrets.` and `secrets` are the same. */
export function parseGroupResource(text: string): GroupResource {
  const dot = text.indexOf('.');
  return dot < 0
    ? { resource: text, group: '' }
    : { resource: text.slice(0, dot), group: text.slice(dot + 1) };
}

/** The spelling that Kubernetes' messages use, and one for each resource. */
export function formatGroupResource({ resource, group }: GroupResource): string {
  if (group === '') return resource === '*' ? '*.' : resource;
  return `${resource}.${group}`;
}

export function canonicalResource(text: string): string {
  return formatGroupResource(parseGroupResource(text));
}

export function isWildcard(text: string): boolean {
  return parseGroupResource(text).resource === '*';
}

/** The wildcards that cover a resource, in the order in which an API server looks for them. */
export function wildcardsOver(text: string): string[] {
  return [formatGroupResource({ resource: '*', group: parseGroupResource(text).group }), '*.*'];
}
