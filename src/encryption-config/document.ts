import { LineCounter, parseAllDocuments, visit, type Document, type ErrorCode, type ScalarTag } from 'yaml';
import { decodeBase64 } from './go-syntax.ts';
import { ProblemList } from './problems.ts';

/** The text as kube-apiserver reads it: one document, with what is wrong with the text itself. */
export interface LoadedDocument {
  /** Absent when the text has nothing that could be looked at further. */
  readonly document: Document.Parsed | undefined;
  readonly problems: ProblemList;
}

/** The parser's own messages quote the text, which may be a key: these don't. */
const syntaxMessages = {
  BAD_ALIAS: 'an alias (*name) has no anchor (&name) before it',
  BAD_INDENT: 'the indentation does not fit the lines around it',
  BAD_DQ_ESCAPE: 'a double-quoted text holds an escape that YAML does not know',
  BLOCK_AS_IMPLICIT_KEY: 'a mapping starts on the line of another key',
  DUPLICATE_KEY:
    'the same field stands twice in one mapping; kube-apiserver reads strictly and refuses the file',
  MISSING_CHAR: 'a character is missing (a colon, a quote, a bracket, or a space after one)',
  MULTILINE_IMPLICIT_KEY: 'a key runs over more than one line, or lacks its colon',
  TAB_AS_INDENT: 'a tab is used for indentation, which YAML forbids',
} as const satisfies Partial<Record<ErrorCode, string>>;

/**
 * Kubernetes reads YAML 1.1 as Go's yaml.v2 does: `yes` and `on` are booleans, but dates and sexagesimal numbers stay
 * texts, and what is tagged as binary is the text that its base64 stands for.
 */
const notInGo = new Set(['tag:yaml.org,2002:timestamp', 'tag:yaml.org,2002:binary']);
const binaryAsText: ScalarTag = {
  tag: 'tag:yaml.org,2002:binary',
  resolve: (text, onError) => {
    const bytes = decodeBase64(text);
    if (bytes === undefined) onError('not base64');
    return bytes?.toString('utf8') ?? '';
  },
};

export function loadDocument(text: string): LoadedDocument {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, {
    version: '1.1',
    lineCounter: lines,
    prettyErrors: false,
    keepSourceTokens: true,
    logLevel: 'silent',
    customTags: (tags) => [
      ...tags.filter(
        (tag) =>
          typeof tag === 'string' || (!notInGo.has(tag.tag) && !('format' in tag && tag.format === 'TIME')),
      ),
      binaryAsText,
    ],
  });
  const problems = new ProblemList(lines);
  const document = Array.isArray(parsed) ? parsed[0] : undefined;
  if (document === undefined || (document.contents === null && document.errors.length === 0)) {
    problems.error('', 0, 'the file is empty', 'Write an EncryptionConfiguration into it.');
    return { document: undefined, problems };
  }
  if (isJson(text) && !parsesAsJson(text)) {
    problems.error(
      '',
      0,
      'a file that begins with { is read as JSON, and this one is not valid JSON',
      'Correct the JSON, or write the file as block-style YAML.',
    );
  }
  if (document.directives.yaml.explicit === true && document.directives.yaml.version !== '1.1') {
    problems.error(
      '',
      0,
      'Kubernetes reads YAML 1.1, and this text declares another version',
      'Remove the %YAML line.',
    );
  }
  for (const error of document.errors) {
    problems.error(
      '',
      error.pos[0],
      `not valid YAML: ${syntaxMessageOf(error.code)}`,
      'Correct the text here, or on the lines just above.',
    );
  }
  checkNames(document, problems);
  checkTabs(text, problems);
  const next = parsed[1];
  if (next !== undefined) {
    problems.warning(
      '',
      next.range[0],
      'a second YAML document begins here; kube-apiserver reads only the first',
      'Keep one document in the file.',
    );
  }
  return { document, problems };
}

/** Go allows fewer names for anchors than YAML does, and looks at once whether an alias has its anchor. */
function checkNames(document: Document.Parsed, problems: ProblemList): void {
  const remedy = 'Write the value out; put it into quotes when it begins with * or &.';
  visit(document, {
    Alias: (_, alias) => {
      if (alias.resolve(document) !== undefined && /^[\w-]+$/.test(alias.source)) return;
      const message = 'not valid YAML: what begins with * is an alias, and this one has no anchor';
      problems.error('', alias.range?.[0] ?? 0, message, remedy);
    },
    Value: (_, node) => {
      if (node.anchor === undefined || /^[\w-]+$/.test(node.anchor)) return;
      problems.error(
        '',
        node.range?.[0] ?? 0,
        'not valid YAML: what begins with & is an anchor, and this is no name for one',
        remedy,
      );
    },
  });
}

/** The parser finds the other tabs; before a comment Go refuses them too. */
function checkTabs(text: string, problems: ProblemList): void {
  if (isJson(text)) return;
  for (const { index } of text.matchAll(/^ *\t[ \t]*#/gm)) {
    problems.error('', index, `not valid YAML: ${syntaxMessages.TAB_AS_INDENT}`, 'Use blanks.');
  }
}

function syntaxMessageOf(code: ErrorCode): string {
  return code in syntaxMessages
    ? syntaxMessages[code as keyof typeof syntaxMessages]
    : 'the text cannot be read from here on';
}

/** Kubernetes takes a text for JSON by its first character. */
function isJson(text: string): boolean {
  return text.trimStart().startsWith('{');
}

function parsesAsJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    // The error's message quotes the text.
    return false;
  }
}
