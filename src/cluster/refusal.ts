import type { ApiResponse } from './api-server.ts';

/** What an API server's answer to one object says of it, in words that can't hold its content. */
export interface Explanation {
  /** The API's machine-readable reason, the name of a webhook or policy, or the fields at fault; never a message, which may quote data. */
  reason: string;
  /** The way out. */
  remedy: string;
}

/** The parts of a Kubernetes Status that are looked at. */
export interface Status {
  reason?: string;
  message?: string;
  metadata?: { resourceVersion?: string };
  details?: { causes?: { reason?: string; field?: string }[] };
}

/** Of a value that nobody can read any more. */
const LOST =
  'restore it from a backup, or delete its key from etcd (etcdctl del: an API server can delete only what it can read, and one that restarts over it may never get ready); to leave it behind as it is: keyferry waive';

/** What a 500 is about. The messages are those of kube-apiserver's transformers, its decoder and etcd. */
type Failure = 'conversion' | 'webhook' | 'passing' | 'not opened' | 'not decoded' | 'too large' | 'unknown';

const FAILURES: readonly [Exclude<Failure, 'unknown'>, RegExp][] = [
  // First: what they met when they called may sound like any of the others.
  ['conversion', /conversion webhook for /],
  ['webhook', /failed calling webhook/],
  ['too large', /request is too large|trying to send message larger than max/],
  // Of the kms plugin or of etcd: the value itself has nothing to do with it. (No transformer: the plugin was dead when the
  // API server started.)
  [
    'passing',
    /etcdserver: |rpc error: code = (Unavailable|DeadlineExceeded|Canceled|ResourceExhausted)|context (deadline exceeded|canceled)|encryptedDEKSource with keyID hash .* expired|got unexpected nil transformer/,
  ],
  [
    'not opened',
    /no matching prefix found|does not match any of the supported transformers|failed to decrypt|unable to transform key|identity transformer tried to read encrypted data|the stored data |invalid PKCS7|invalid padding on input|message authentication failed|output array was not large enough|invalid data encountered by envelope transformer/,
  ],
  [
    'not decoded',
    /illegal base64 data|couldn't get version\/kind|no kind ".*" is registered|json parse error|^proto: |yaml: |unexpected EOF|cannot unmarshal/,
  ],
];

function failureOf({ message = '' }: Status): Failure {
  return FAILURES.find(([, pattern]) => pattern.test(message))?.[0] ?? 'unknown';
}

export function statusOf(response: ApiResponse): Status {
  return response.body ?? {};
}

/** Whether a 500 is about the kms plugin or etcd, so that trying again helps once they answer. */
export function isPassing(response: ApiResponse): boolean {
  return response.status === 500 && failureOf(statusOf(response)) === 'passing';
}

/** Whether a server says that it can't make an object of the value: no key opens it, or what comes out is none. */
export function isUnreadable(response: ApiResponse): boolean {
  return response.status === 500 && ['not opened', 'not decoded'].includes(failureOf(statusOf(response)));
}

/**
 * Why an object was refused, and what leads out.
 *
 * A message may quote a value of the object ("Invalid value: …"), and a webhook may say what it likes: only reasons,
 * field names and names of webhooks and policies are taken.
 */
export function explain(response: ApiResponse): Explanation {
  const body = statusOf(response);
  const { reason = 'Unknown', message = '' } = body;
  const because = (why: string, remedy: string): Explanation => ({
    reason: body.reason === undefined ? why : `${reason}; ${why}`,
    remedy,
  });

  const webhook = /admission webhook "([a-z0-9.-]+)"/.exec(message)?.[1];
  if (webhook !== undefined) {
    return because(
      `denied by webhook ${webhook}`,
      `let ${webhook} admit an update that changes nothing, or exempt the object or keyferry's user; then resume`,
    );
  }
  const policy = /ValidatingAdmissionPolicy '([a-z0-9.-]+)'/.exec(message)?.[1];
  if (policy !== undefined) {
    return because(
      `denied by policy ${policy}`,
      `let policy ${policy} admit an update that changes nothing, or exempt the object or keyferry's user; then resume`,
    );
  }
  if (response.status === 500) return explainFailure(body, because);
  if (response.status === 413) return because('too large', TOO_LARGE);

  const fields = fieldsOf(body);
  if (response.status === 422) {
    return because(
      fields === undefined ? 'not valid' : `fields ${fields}`,
      'it fails the validation of today: correct it (or delete it and make it anew, where the field may not change); then resume',
    );
  }
  if (response.status === 403) {
    return {
      reason,
      remedy:
        "let keyferry's user patch it (deploy/rbac.yaml), and every admission plugin admit the update; then resume",
    };
  }
  return {
    reason: fields === undefined ? reason : `${reason}; fields ${fields}`,
    remedy: 'see what the API server logs for a PATCH of it; mend or delete it; then resume',
  };
}

const TOO_LARGE =
  "make it smaller, or raise etcd's --max-request-bytes (1.5 MiB) for as long as it lives; then resume";

export const OUTGROWN: Explanation = { reason: 'too large for etcd once it is sealed', remedy: TOO_LARGE };
export const UNOPENED: Explanation = { reason: 'no provider of the configuration opens it', remedy: LOST };
export const UNDECODED: Explanation = {
  reason: 'its value is no object that the API server knows',
  remedy: LOST,
};

function explainFailure(body: Status, because: (why: string, remedy: string) => Explanation): Explanation {
  switch (failureOf(body)) {
    case 'webhook': {
      const name = /failed calling webhook "([a-z0-9.-]+)"/.exec(body.message ?? '')?.[1] ?? 'unnamed';
      return because(
        `webhook ${name} did not answer`,
        `bring the service behind webhook ${name} back, or delete its configuration; then resume`,
      );
    }
    case 'conversion':
      return explainConversion(body.message ?? '', because);
    case 'too large':
      return because(OUTGROWN.reason, OUTGROWN.remedy);
    case 'not opened':
      return because(UNOPENED.reason, UNOPENED.remedy);
    case 'not decoded':
      return because(UNDECODED.reason, UNDECODED.remedy);
    case 'passing':
      return because(
        'the kms plugin or etcd did not answer',
        'see that the plugins and etcd are well; then resume',
      );
    case 'unknown':
      return because(
        'the API server failed over it',
        'see what the API server logs for it; mend or delete it; then resume',
      );
  }
}

/** Of the message only what the API server itself says: what follows is the webhook's, and may quote the object. */
function explainConversion(
  message: string,
  because: (why: string, remedy: string) => Explanation,
): Explanation {
  const [, from, said = ''] =
    /conversion webhook for ([a-z0-9.-]+\/[a-z0-9]+)\S* \S+ (.*)/s.exec(message) ?? [];
  const what = `the conversion webhook for ${from ?? 'its group'}`;
  if (/^failed: Post "/.test(said)) {
    return because(
      `${what} did not answer`,
      'bring the service behind spec.conversion of the CustomResourceDefinition back; then resume',
    );
  }
  return because(
    `${what} ${said.startsWith('failed') ? 'answered with an error' : 'answered with what is no conversion of it'}`,
    'see what the service behind spec.conversion of the CustomResourceDefinition logs for it, and mend it; then resume',
  );
}

/** A key that is in etcd, while no API server finds an object under its name. */
export const UNREACHABLE: Explanation = {
  reason: 'NotFound; its key is in etcd, but no API server finds an object under that name',
  remedy: 'delete its key from etcd (etcdctl del), having looked at what it holds; then resume',
};

function fieldsOf(body: Status): string | undefined {
  const fields = (body.details?.causes ?? []).flatMap((cause) =>
    cause.field === undefined ? [] : [fieldName(cause.field)],
  );
  return fields.length === 0 ? undefined : [...new Set(fields)].slice(0, 5).join(', ');
}

/** `data[password]` and the like: names of keys are metadata, but what stands in brackets is the user's. */
function fieldName(field: string): string {
  return field.replace(/\[[^\]]*\]/g, '[…]').slice(0, 80);
}
