import type { Check } from '../plan/preflight.ts';
import { examinePlugin, type ExaminationOptions, type PluginSeal } from './examination.ts';
import { judgePlugin } from './lint.ts';

/** Tags and lengths of one annotation in a value. */
const ANNOTATION_BYTES = 8;

/** What a plugin showed when it was tried. */
export interface PluginProbe {
  /** The key id of Status; empty when it didn't answer, or named none. */
  readonly keyId: string;
  /** The slowest answer, in milliseconds. */
  readonly latencyMs: number;
  /** Bytes of key id, ciphertext and annotations that Encrypt answered with: what each value gets beside its data. */
  readonly sealBytes?: number;
  readonly checks: readonly Check[];
  /** The checks that failed, as sentences; empty when the plugin is fit. */
  readonly problems: readonly string[];
  /** Those that warn. */
  readonly warnings: readonly string[];
}

/**
 * Tries a KMS v2 plugin, anybody's: what API servers check, and what they don't and suffer from.
 *
 * @param endpoint - `unix:///absolute/path`
 * @throws KeyferryError `PluginEndpointInvalid` only: a plugin that can't be reached is a finding
 */
export async function probePlugin(endpoint: string, options: ExaminationOptions = {}): Promise<PluginProbe> {
  const examination = await examinePlugin(endpoint, options);
  const [first] = examination.rounds;
  const status = first?.before;
  const sealed = first?.sealed;
  const checks = judgePlugin(examination);
  return {
    keyId: status !== undefined && 'answer' in status ? status.answer.keyId : '',
    latencyMs: examination.slowest.ms,
    ...(sealed !== undefined && 'answer' in sealed ? { sealBytes: bytesOf(sealed.answer) } : {}),
    checks,
    problems: sentences(checks, 'fail'),
    warnings: sentences(checks, 'warn'),
  };
}

function bytesOf({ keyId, ciphertextBytes, annotationNames, annotationBytes }: PluginSeal): number {
  return (
    Buffer.byteLength(keyId) + ciphertextBytes + annotationBytes + ANNOTATION_BYTES * annotationNames.length
  );
}

/** The checks with an outcome, as sentences. */
export function sentences(checks: readonly Check[], outcome: Check['outcome']): string[] {
  return checks.filter((check) => check.outcome === outcome).map(({ name, detail }) => `${name}: ${detail}`);
}
