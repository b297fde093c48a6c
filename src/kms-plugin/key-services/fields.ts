import { isIP } from 'node:net';
import { z } from 'zod';

/** The absolute path of a file. */
export const absolutePath = z.string().regex(/^\/[^\0]*[^/\0]$/, 'must be the absolute path of a file');

/** A name that goes into key ids, paths and logs. */
export const name = z.string().regex(/^[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$/, {
  error: 'must be 1 to 63 letters, digits, "-", "_" or ".", the first and last a letter or digit',
});

/** Where a server answers: scheme, host and port, nothing else. */
export const address = z
  .string()
  .refine(
    isAddress,
    'must be http:// or https:// with a host and a port, and nothing after it, as in https://vault.example.com:8200',
  );

function isAddress(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return (
    (url.protocol === 'http:' || url.protocol === 'https:') &&
    url.username === '' &&
    url.password === '' &&
    url.pathname === '/' &&
    url.search === '' &&
    url.hash === ''
  );
}

/** Whether what is sent to an address can be read on its way: http, and not to this machine. */
export function travelsInTheClear(address: string): boolean {
  const { protocol, hostname } = new URL(address);
  const loopback =
    hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'));
  return protocol === 'http:' && !loopback;
}
