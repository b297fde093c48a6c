import { createHash } from 'node:crypto';

/** A name as API servers show it in the labels of their metrics, hashed: `sha256:…`. */
export function hashInMetrics(name: string): string {
  return `sha256:${createHash('sha256').update(name).digest('hex')}`;
}
