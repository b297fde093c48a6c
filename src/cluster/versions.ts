import { KeyferryError } from '../errors.ts';
import type { ApiServer } from './api-server.ts';

/** What an API server says of itself, and of the time. */
export interface ServerVersion {
  /** `v1.36.3`, with whatever a distribution appends. */
  gitVersion: string;
  /** Milliseconds that its clock is ahead of this machine's; below zero where it is behind. */
  aheadMs: number;
}

/** @throws KeyferryError `UnreachableApiServer`, `RefusedVersion` */
export async function versionOf(server: ApiServer): Promise<ServerVersion> {
  const response = await server.request({ method: 'GET', path: '/version', timeoutMs: 5_000 });
  if (response.status !== 200) {
    throw new KeyferryError('RefusedVersion', `answered ${response.status} to /version`, {
      remedy: "check the kubeconfig's credentials against this one server",
      retryable: response.status >= 500,
    });
  }
  const { gitVersion = 'unknown' } = response.body as { gitVersion?: string };
  return { gitVersion, aheadMs: response.aheadMs ?? 0 };
}
