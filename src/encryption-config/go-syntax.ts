/*
 * What Go takes for a duration, for base64 and for a URL: kube-apiserver judges the file by these.
 */

const unitsInNanoseconds: Record<string, number> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** A duration such as "3s" or "1m30s" in nanoseconds; undefined when Go wouldn't take it. */
export function parseGoDuration(text: string): number | undefined {
  const match = /^([+-]?)(.*)$/s.exec(text);
  const rest = match?.[2] ?? '';
  if (rest === '0') return 0;
  if (!/^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.test(rest)) return undefined;
  let total = 0;
  for (const [, amount, unit] of rest.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    total += Number(amount) * (unitsInNanoseconds[unit ?? ''] ?? Number.NaN);
  }
  // Go counts nanoseconds in 63 bits, about 292 years.
  if (!(total < 2 ** 63)) return undefined;
  return match?.[1] === '-' ? -Math.floor(total) : Math.floor(total);
}

/** The bytes of padded standard base64, in which Go allows line breaks; undefined when it is anything else. */
export function decodeBase64(text: string): Buffer | undefined {
  const joined = text.replace(/[\r\n]/g, '');
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(joined)) return undefined;
  return Buffer.from(joined, 'base64');
}

export interface GoUrl {
  /** Lower case; empty when there is none. */
  readonly scheme: string;
  readonly host: string;
  readonly path: string;
}

/** A URL split as Go's net/url does, as far as a unix endpoint needs it; undefined when Go refuses it. */
export function parseGoUrl(text: string): GoUrl | undefined {
  // eslint-disable-next-line no-control-regex -- control characters are what Go refuses
  if (/[\x00-\x1f\x7f]/.test(text) || text.startsWith(':')) return undefined;
  const withoutFragment = text.split('#', 1)[0] ?? '';
  const fragment = text.slice(withoutFragment.length);
  const match = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?([^?]*)/s.exec(withoutFragment);
  const scheme = (match?.[1] ?? '').toLowerCase();
  const rest = match?.[2] ?? '';
  if (!goodEscapes(fragment)) return undefined;
  if (!rest.startsWith('/')) {
    // With a scheme the rest is opaque; without one, a colon would be taken for the end of a scheme.
    if (scheme === '' && (rest.split('/', 1)[0] ?? '').includes(':')) return undefined;
    return scheme === '' && !goodEscapes(rest)
      ? undefined
      : { scheme, host: '', path: scheme === '' ? rest : '' };
  }
  const [, host = '', path = ''] = rest.startsWith('//')
    ? (/^\/\/([^/]*)(.*)$/s.exec(rest) ?? [])
    : ['', '', rest];
  if (!goodHost(host) || !goodEscapes(path)) return undefined;
  return { scheme, host, path: decodeURIComponentBytes(path) };
}

function goodHost(authority: string): boolean {
  const at = authority.lastIndexOf('@');
  if (at >= 0 && !/^[\w.:~!$&'()*+,;=%@-]*$/.test(authority.slice(0, at))) return false;
  const host = authority.slice(at + 1);
  const afterName = host.startsWith('[')
    ? /^\[[^\]]*\](.*)$/s.exec(host)?.[1]
    : /^[^:]*(.*)$/s.exec(host)?.[1];
  if (afterName === undefined || !/^(?::\d*)?$/.test(afterName)) return false;
  return !/[ \\^`{|}]/.test(host) && !/%(?!25)/.test(host);
}

function goodEscapes(text: string): boolean {
  return !/%(?![0-9A-Fa-f]{2})/.test(text);
}

function decodeURIComponentBytes(text: string): string {
  return text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (run) =>
    Buffer.from(run.replaceAll('%', ''), 'hex').toString(),
  );
}
