const suffix = /;generation=([1-9][0-9]{0,8})$/;

/** A key id without its generation: which version of which key it means. What any generation of it sealed opens by it. */
export function baseKeyId(keyId: string): string {
  return keyId.replace(suffix, '');
}

/** 1, the first, for a key id that names none. */
export function generationOf(keyId: string): number {
  return Number(suffix.exec(keyId)?.[1] ?? 1);
}

/** The key id of the same version in this generation; the first leaves key ids as they are. */
export function keyIdOfGeneration(keyId: string, generation: number): string {
  return generation === 1 ? baseKeyId(keyId) : `${baseKeyId(keyId)};generation=${generation}`;
}
