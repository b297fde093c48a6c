import { annotationNames } from './local-kek.ts';

/** An age X25519 recipient: `age1` and 58 characters of bech32. */
export const escrowRecipientPattern = /^age1[02-9ac-hj-np-z]{58}$/;

/**
 * Who can open a value besides its key service, as its annotations say: age recipients. Read without any key, so it is
 * proven only once the value has been opened.
 */
export function escrowRecipients(annotations: Readonly<Record<string, Uint8Array>>): string[] {
  const named = annotations[annotationNames.escrowRecipients];
  if (named === undefined) return [];
  return Buffer.from(named)
    .toString('latin1')
    .split('\n')
    .filter((line) => escrowRecipientPattern.test(line));
}
