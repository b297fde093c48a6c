import { createTwoFilesPatch } from 'diff';
import { redactEncryptionConfiguration } from './redact.ts';

/** The unified diff of two texts of a file, without key material; empty when they show no difference. */
export function diffArrangements(before: string, after: string): string {
  const [old, next] = [redactEncryptionConfiguration(before), redactEncryptionConfiguration(after)];
  return old === next
    ? ''
    : createTwoFilesPatch('before', 'after', old, next, undefined, undefined, { context: 3 });
}
