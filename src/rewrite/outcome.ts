import type { ApiResponse } from '../cluster/api-server.ts';

/** What an API server's answer to a no-op PATCH means for the object. */
export type Outcome =
  | { kind: 'done'; resourceVersion: string | undefined }
  | { kind: 'gone' }
  /** Try again, after so many milliseconds. */
  | { kind: 'again'; afterMs: number; why: string }
  | { kind: 'refused'; status: number; reason: string };

interface Status {
  reason?: string;
  message?: string;
  metadata?: { resourceVersion?: string };
  details?: { causes?: { reason?: string; field?: string }[] };
}

const AGAIN_MS = 250;

/** Reads an answer; see FORMATS and the API conventions of Kubernetes for the codes. */
export function outcomeOf(response: ApiResponse): Outcome {
  const body = (response.body ?? {}) as Status;
  const { status } = response;
  if (status >= 200 && status < 300) return { kind: 'done', resourceVersion: body.metadata?.resourceVersion };
  if (status === 404) return { kind: 'gone' };
  if (status === 409) return { kind: 'again', afterMs: AGAIN_MS, why: '409 Conflict' };
  if (status === 429) {
    return { kind: 'again', afterMs: (response.retryAfterSeconds ?? 1) * 1000, why: '429 Too Many Requests' };
  }
  if (status === 401 || status === 502 || status === 503 || status === 504) {
    return {
      kind: 'again',
      afterMs: (response.retryAfterSeconds ?? 1) * 1000,
      why: `${status} ${body.reason ?? ''}`.trim(),
    };
  }
  return { kind: 'refused', status, reason: reasonOf(body) };
}

/**
 * Why an object was refused, in words that can't hold its content.
 *
 * A message may quote a value of the object ("Invalid value: …"), and a webhook may say what it likes: only reasons,
 * field names and the webhook's name are taken.
 */
function reasonOf(body: Status): string {
  const webhook = /admission webhook "([a-z0-9.-]+)"/.exec(body.message ?? '')?.[1];
  const policy = /ValidatingAdmissionPolicy '([a-z0-9.-]+)'/.exec(body.message ?? '')?.[1];
  const failedWebhook = /failed calling webhook "([a-z0-9.-]+)"/.exec(body.message ?? '')?.[1];
  const unreadable =
    /no matching prefix found|failed to decrypt|unable to transform key|identity transformer tried to read encrypted data/.test(
      body.message ?? '',
    );
  const fields = (body.details?.causes ?? []).flatMap((cause) =>
    cause.field === undefined ? [] : [fieldName(cause.field)],
  );
  return [
    body.reason ?? 'Unknown',
    ...(webhook === undefined ? [] : [`denied by webhook ${webhook}`]),
    ...(policy === undefined ? [] : [`denied by policy ${policy}`]),
    ...(failedWebhook === undefined ? [] : [`webhook ${failedWebhook} did not answer`]),
    ...(unreadable ? ['no provider of the configuration opens it'] : []),
    ...(fields.length === 0 ? [] : [`fields ${[...new Set(fields)].slice(0, 5).join(', ')}`]),
  ].join('; ');
}

/** `data[password]` and the like: names of keys are metadata, but what stands in brackets is the user's. */
function fieldName(field: string): string {
  return field.replace(/\[[^\]]*\]/g, '[…]').slice(0, 80);
}
