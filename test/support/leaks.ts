import { type Source } from './temporal-contents.ts';

/** A secret, or a text that only a secret holds, under a name that may be printed. */
export interface Needle {
  readonly what: string;
  readonly text: string;
}

/** A secret in the forms in which it might lie about: as it is, in hex, in base64, and its base64 decoded. */
export function formsOf(what: string, secret: string): Needle[] {
  const bytes = Buffer.from(secret, 'base64');
  return [
    { what, text: secret },
    { what: `${what} in hex`, text: Buffer.from(secret).toString('hex') },
    {
      what: `${what} in base64`,
      text: Buffer.from(secret).toString('base64').replace(/=+$/, '').slice(0, -1),
    },
    ...(bytes.toString('base64') === secret
      ? [
          { what: `${what}, decoded`, text: bytes.toString('latin1') },
          { what: `${what}, decoded, in hex`, text: bytes.toString('hex') },
        ]
      : []),
  ];
}

/** Where a secret is found; each place is named once. */
export function leaksIn(sources: readonly Source[], needles: readonly Needle[]): string[] {
  return sources.flatMap(({ where, text }) =>
    needles.filter((needle) => text.includes(needle.text)).map((needle) => `${needle.what} in ${where}`),
  );
}
