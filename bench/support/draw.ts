import type { Measured } from '../rewrite.ts';

const WIDTH = 760;
const LABEL = 290;
const ROW = 26;
const COLOURS: Readonly<Record<string, string>> = { keyferry: '#2f6fde', bare: '#9aa3ad', other: '#d08a2e' };

/** Bars of the median rate of each contender, one group for each number of Secrets, on a scale of powers of ten. */
export function drawRates(results: readonly Measured[]): string {
  const rows: string[] = [];
  let y = 34;
  const most = Math.max(10, ...results.map(({ rate }) => rate));
  const decades = Math.ceil(Math.log10(most));
  const x = (rate: number) => LABEL + ((WIDTH - LABEL - 90) * Math.log10(Math.max(1, rate))) / decades;
  for (const secrets of new Set(results.map((one) => one.secrets))) {
    rows.push(text(10, y, `${secrets.toLocaleString('en')} Secrets`, 'font-weight="bold"'));
    y += ROW;
    for (const { who, rate } of medianOf(results, secrets).toSorted((a, b) => b.rate - a.rate)) {
      const kind = who.startsWith('keyferry') ? 'keyferry' : who.startsWith('bare') ? 'bare' : 'other';
      rows.push(
        text(LABEL - 10, y, who, 'text-anchor="end"'),
        `<rect x="${LABEL}" y="${y - 14}" width="${(x(rate) - LABEL).toFixed(1)}" height="18" rx="2" fill="${COLOURS[kind] ?? ''}"/>`,
        text(x(rate) + 6, y, `${rate.toLocaleString('en')}/s`),
      );
      y += ROW;
    }
    y += 12;
  }
  const grid = Array.from({ length: decades + 1 }, (_, i) => {
    const at = x(10 ** i).toFixed(1);
    return `<line x1="${at}" y1="20" x2="${at}" y2="${y - 20}" stroke="#8884" /><text x="${at}" y="14" text-anchor="middle" opacity="0.7">${(10 ** i).toLocaleString('en')}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" font-family="system-ui, sans-serif" font-size="13">
<title>Secrets rewritten per second, on a logarithmic scale</title>
<style>text { fill: #24292f } @media (prefers-color-scheme: dark) { text { fill: #d0d7de } }</style>
${[...grid, ...rows].join('\n')}
</svg>
`;
}

/** The median go of each contender; of two the better one. */
export function medianOf(results: readonly Measured[], secrets: number): Measured[] {
  const by = Map.groupBy(
    results.filter((one) => one.secrets === secrets),
    ({ who }) => who,
  );
  return [...by.values()].flatMap((goes) => {
    const sorted = goes.toSorted((a, b) => a.rate - b.rate);
    return sorted[Math.floor(sorted.length / 2)] ?? [];
  });
}

function text(x: number, y: number, words: string, attributes = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${words.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`;
}
