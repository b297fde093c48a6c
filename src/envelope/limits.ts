/**
 * The limits that kube-apiserver checks when it reads and when it writes a kms v2 value; outside them it refuses the
 * value. Source: `ValidateEncryptedObject` of k8s.io/apiserver (kmsv2/envelope.go).
 */
export const kmsV2Limits = {
  /** Bytes of UTF-8. */
  keyIdBytes: 1024,
  dekSourceBytes: 1024,
  /** Names and values of all annotations together. */
  annotationBytes: 32 * 1024,
} as const;

const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** The parts of a kms v2 value that have limits. */
export interface KmsV2Parts {
  readonly keyIdBytes: number;
  readonly dekSourceBytes: number;
  readonly encryptedDataBytes: number;
  readonly annotationNames: readonly string[];
  readonly annotationBytes: number;
}

/** Says what the API server would refuse, or `undefined` when it would take the value. */
export function kmsV2LimitProblem(parts: KmsV2Parts): string | undefined {
  if (parts.encryptedDataBytes === 0) return 'the encrypted data is empty';
  if (parts.dekSourceBytes === 0) return 'the encrypted DEK source is empty';
  if (parts.dekSourceBytes > kmsV2Limits.dekSourceBytes) {
    return `the encrypted DEK source has ${parts.dekSourceBytes} bytes, more than ${kmsV2Limits.dekSourceBytes}`;
  }
  if (parts.keyIdBytes === 0) return 'the key id is empty';
  if (parts.keyIdBytes > kmsV2Limits.keyIdBytes) {
    return `the key id has ${parts.keyIdBytes} bytes, more than ${kmsV2Limits.keyIdBytes}`;
  }
  for (const name of parts.annotationNames) {
    if (!isFullyQualified(name))
      return `the annotation name ${JSON.stringify(name)} is not a fully qualified domain name`;
  }
  if (parts.annotationBytes > kmsV2Limits.annotationBytes) {
    return `the annotations have ${parts.annotationBytes} bytes, more than ${kmsV2Limits.annotationBytes}`;
  }
  return undefined;
}

/** Kubernetes' IsFullyQualifiedDomainName: two DNS labels or more, one trailing dot allowed, 253 bytes at most. */
export function isFullyQualified(name: string): boolean {
  const domain = name.endsWith('.') ? name.slice(0, -1) : name;
  const labels = domain.split('.');
  return domain.length <= 253 && labels.length >= 2 && labels.every((label) => dnsLabel.test(label));
}
