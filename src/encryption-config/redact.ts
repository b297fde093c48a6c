import { isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Node } from 'yaml';
import { decodeBase64 } from './go-syntax.ts';
import { applyReplacements, type Replacement } from './splice.ts';

const redacted = '<redacted>';

/** Fields whose values are shown. Any other text is taken for a key: a misspelt `secret` must not give it away. */
const shownFields = new Set(['apiVersion', 'kind', 'name', 'endpoint', 'timeout', 'cachesize', 'resources']);
const knownFields = new Set([
  ...shownFields,
  'providers',
  'keys',
  'secret',
  'aescbc',
  'aesgcm',
  'secretbox',
  'identity',
  'kms',
]);

/**
 * The same text without key material: every `secret` (and every text that isn't known to be harmless) reads
 * `<redacted>`, comments included. Of a text that isn't YAML nothing is shown but a message saying so.
 */
export function redactEncryptionConfiguration(text: string): string {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: 'silent',
  });
  if (!Array.isArray(documents)) return text.trim() === '' ? text : `${redacted}\n`;
  const error = documents.flatMap((document) => document.errors)[0];
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    return `# Not shown: the text is not valid YAML at line ${line}, column ${col}, so its keys can't be told from the rest.\n`;
  }
  const found: Found = { replacements: [], values: new Set() };
  for (const document of documents) collect(document.contents, text, false, found);
  const shown = applyReplacements(text, found.replacements);
  return redactComments(redactCopies(shown, found.values));
}

interface Found {
  readonly replacements: Replacement[];
  readonly values: Set<string>;
}

function collect(node: Node | null, text: string, harmless: boolean, found: Found): void {
  if (isMap<Node, Node | null>(node)) {
    for (const { key, value } of node.items) {
      const name = isScalar(key) && typeof key.value === 'string' ? key.value : undefined;
      if (name === undefined || !knownFields.has(name)) hideIfKeyLike(key, text, found);
      collect(value, text, name !== undefined && shownFields.has(name), found);
    }
  } else if (isSeq<Node | null>(node)) {
    for (const item of node.items) collect(item, text, harmless, found);
  } else if (isScalar(node) && !harmless && node.value !== null) {
    hide(node, text, found);
  } else {
    hideIfKeyLike(node, text, found);
  }
}

function hideIfKeyLike(node: Node | null, text: string, found: Found): void {
  if (isMap(node) || isSeq(node)) collect(node, text, false, found);
  else if (isScalar(node) && isKeyLike(String(node.value))) hide(node, text, found);
}

function hide(node: Node, text: string, { replacements, values }: Found): void {
  if (node.range == null) return;
  const [from, to] = node.range;
  const source = text.slice(from, to);
  if (isScalar(node)) values.add(String(node.value));
  const quote = /^["']/.exec(source)?.[0] ?? '';
  replacements.push({ from, to, text: `${quote}${redacted}${quote}${source.endsWith('\n') ? '\n' : ''}` });
}

/** Keys are copied into other places, say into a comment. Short ones would match all over the file. */
function redactCopies(text: string, values: ReadonlySet<string>): string {
  return [...values]
    .filter((value) => value.length >= 8)
    .reduce((result, value) => result.replaceAll(value, redacted), text);
}

function redactComments(text: string): string {
  return text.replace(/#.*$/gm, (comment) =>
    comment
      .replace(/(secret["']?\s*:\s*).+$/i, `$1${redacted}`)
      .replace(/[A-Za-z0-9+/]{22,}={0,2}/g, (word) => (isKeyLike(word) ? redacted : word)),
  );
}

/** Base64 of as many bytes as keys have. */
function isKeyLike(text: string): boolean {
  return [16, 24, 32].includes(decodeBase64(text)?.length ?? 0);
}
