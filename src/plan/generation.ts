const suffix = /;generation=([1-9][0-9]*)$/;

/** A key id without its generation: that of the key version itself. */
export function baseKeyId(keyId: string): string {
  return keyId.replace(suffix, '');
}

/** The key id of the same key version for its next use, after it was left: no key id is ever used again. */
export function nextGeneration(keyId: string): string {
  const generation = Number(suffix.exec(keyId)?.[1] ?? 1);
  return `${baseKeyId(keyId)};generation=${generation + 1}`;
}
