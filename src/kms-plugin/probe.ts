import { randomBytes, randomUUID } from 'node:crypto';
import { kmsV2LimitProblem, kmsV2Limits } from '../envelope/limits.ts';
import { KeyferryError } from '../errors.ts';
import { KmsPluginClient, type PluginCiphertext, type PluginStatus } from './client.ts';
import { kmsV2Protocol } from './service.ts';

/** What a plugin showed when it was tried as an API server would use it. */
export interface PluginProbe {
  /** The key id of Status; empty when it didn't answer. */
  readonly keyId: string;
  /** Status, Encrypt and Decrypt together, in milliseconds. */
  readonly latencyMs: number;
  /** What an API server would refuse, in sentences; empty when the plugin is fit. */
  readonly problems: readonly string[];
}

/**
 * Tries a KMS v2 plugin: Status, then a round trip of random bytes. Checks what the API server checks, and that the same
 * bytes come back. Three calls; the plugin may make one remote call or more for each.
 *
 * @param endpoint - `unix:///absolute/path`
 * @param options.timeoutMs - deadline of each call
 * @returns problems rather than errors: a plugin that can't be reached is a finding
 * @throws KeyferryError `PluginEndpointInvalid` only
 */
export async function probePlugin(
  endpoint: string,
  options: { readonly timeoutMs?: number } = {},
): Promise<PluginProbe> {
  const client = new KmsPluginClient(endpoint, options);
  const uid = `keyferry-probe-${randomUUID()}`;
  const started = performance.now();
  let keyId = '';
  const problems: string[] = [];
  try {
    const status = await client.status();
    keyId = status.keyId;
    problems.push(...statusProblems(status));
    const plaintext = randomBytes(32);
    const sealed = await client.encrypt(plaintext, uid);
    problems.push(...ciphertextProblems(sealed, status));
    if (!plaintext.equals(await client.decrypt(sealed, uid))) {
      problems.push('Decrypt answered other bytes than were given to Encrypt');
    }
  } catch (error) {
    if (!(error instanceof KeyferryError)) throw error;
    problems.push(error.message);
  } finally {
    client.close();
  }
  return { keyId, latencyMs: Math.round(performance.now() - started), problems };
}

function statusProblems(status: PluginStatus): string[] {
  const problems: string[] = [];
  if (status.version !== kmsV2Protocol.version) {
    problems.push(`Status answers version ${JSON.stringify(status.version)}, not "v2"`);
  }
  if (status.healthz !== kmsV2Protocol.healthy)
    problems.push(`Status is not ok: ${status.healthz.slice(0, 300)}`);
  const bytes = Buffer.byteLength(status.keyId);
  if (bytes === 0) problems.push('the key id of Status is empty');
  if (bytes > kmsV2Limits.keyIdBytes) {
    problems.push(`the key id of Status has ${bytes} bytes, more than ${kmsV2Limits.keyIdBytes}`);
  }
  return problems;
}

function ciphertextProblems(sealed: PluginCiphertext, status: PluginStatus): string[] {
  const problems: string[] = [];
  if (sealed.keyId !== status.keyId) {
    problems.push(
      `Encrypt used the key id ${JSON.stringify(sealed.keyId)}, Status said ${JSON.stringify(status.keyId)}`,
    );
  }
  const annotations = Object.entries(sealed.annotations);
  const problem = kmsV2LimitProblem({
    keyIdBytes: Buffer.byteLength(sealed.keyId),
    dekSourceBytes: sealed.ciphertext.length,
    encryptedDataBytes: 1,
    annotationNames: annotations.map(([name]) => name),
    annotationBytes: annotations.reduce(
      (sum, [name, bytes]) => sum + Buffer.byteLength(name) + bytes.length,
      0,
    ),
  });
  if (problem !== undefined) problems.push(`Encrypt: ${problem}`);
  return problems;
}
