import { createHash } from 'node:crypto';

/** A key id as API servers show it in their metrics: `sha256:…`. */
export function hashOfKeyId(keyId: string): string {
  return `sha256:${createHash('sha256').update(keyId).digest('hex')}`;
}
