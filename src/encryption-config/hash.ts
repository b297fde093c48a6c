import { createHash } from 'node:crypto';

/**
 * The hash of a file as kube-apiserver tells it in `apiserver_encryption_config_controller_last_config_info`:
 * `sha256:` and the lower-case hex digest of the file's bytes.
 */
export function hashOf(content: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

/**
 * The hash of a text with the node's name (as a whole word) replaced by `{node}`: files of two nodes that differ only
 * by it, say in socket paths, have the same one.
 */
export function normalizedHash(text: string, node: string): string {
  const word = new RegExp(`(?<![A-Za-z0-9])${node.replace(/[^A-Za-z0-9]/g, '\\$&')}(?![A-Za-z0-9])`, 'g');
  return hashOf(node === '' ? text : text.replace(word, '{node}'));
}
