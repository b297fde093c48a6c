import { isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Node } from 'yaml';
import { hideKeyLike, redacted } from './key-like.ts';
import { applyReplacements, type Replacement } from './splice.ts';

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
  return hideKeyLike(redactComments(redactCopies(shown, found.values)));
}

interface Found {
  readonly replacements: Replacement[];
  readonly values: Set<string>;
}

function collect(node: Node | null, text: string, harmless: boolean, found: Found): void {
  if (isMap<Node, Node | null>(node)) {
    for (const { key, value } of node.items) {
      const name = isScalar(key) && typeof key.value === 'string' ? key.value : undefined;
      if (name === undefined) collect(key, text, false, found);
      else if (!knownFields.has(name) && !/^[A-Za-z][\w-]{0,19}$/.test(name)) hide(key, text, found);
      collect(value, text, name !== undefined && shownFields.has(name), found);
    }
  } else if (isSeq<Node | null>(node)) {
    for (const item of node.items) collect(item, text, harmless, found);
  } else if (isScalar(node) && node.value !== null && !harmless) {
    hide(node, text, found);
  }
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

/** A key that was commented out, however short. */
function redactComments(text: string): string {
  return text.replace(/(#.*secret["']?\s*:\s*).+$/gim, `$1${redacted}`);
}
