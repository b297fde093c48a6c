import type { ApiResponse } from '../cluster/api-server.ts';
import { explain, isPassing, statusOf, type Explanation } from '../cluster/refusal.ts';

/** What an API server's answer to a no-op PATCH means for the object. */
export type Outcome =
  | { kind: 'done'; resourceVersion: string | undefined }
  | { kind: 'gone' }
  /** Try again, after so many milliseconds. */
  | { kind: 'again'; afterMs: number; why: string }
  | ({ kind: 'refused'; status: number } & Explanation);

const AGAIN_MS = 250;

/** Reads an answer; see FORMATS and the API conventions of Kubernetes for the codes. */
export function outcomeOf(response: ApiResponse): Outcome {
  const body = statusOf(response);
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
  const { reason, remedy } = explain(response);
  if (isPassing(response)) return { kind: 'again', afterMs: 1000, why: `${status} ${reason}` };
  return { kind: 'refused', status, reason, remedy };
}
