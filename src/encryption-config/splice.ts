import { isMap, isPair, isScalar, isSeq, type Node, type YAMLSeq } from 'yaml';
import { KeyferryError } from '../errors.ts';

/** Offsets into the original text; the pieces of an edit never overlap. */
export interface Replacement {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** An element of an edited list: one of the original's (with changes inside it), or a new text. */
export type Piece =
  | { readonly kept: number; readonly inner: readonly Replacement[] }
  | { readonly block: (column: number, eol: string) => string; readonly flow: () => string };

/** The text with replacements made in it. */
export function applyReplacements(
  text: string,
  replacements: readonly Replacement[],
  from = 0,
  to = text.length,
): string {
  let result = '';
  let at = from;
  for (const replacement of replacements.toSorted((a, b) => a.from - b.from)) {
    result += text.slice(at, replacement.from) + replacement.text;
    at = replacement.to;
  }
  return result + text.slice(at, to);
}

/**
 * Rewrites a list by its text, so that what stays keeps every character: quotes, indentation, comments.
 *
 * A comment right above an element belongs to it, and so do deeper indented ones below it.
 *
 * @throws KeyferryError `EncryptionConfigurationNotEditable` for a list whose text can't be taken apart
 */
export function rewriteList(text: string, list: YAMLSeq, pieces: readonly Piece[]): Replacement {
  if (
    pieces.length === list.items.length &&
    pieces.every((piece, i) => 'kept' in piece && piece.kept === i)
  ) {
    // Nothing but changes inside of elements.
    const inner = pieces.flatMap((piece) => ('kept' in piece ? piece.inner : []));
    const from = Math.min(...inner.map((each) => each.from), text.length);
    const to = Math.max(...inner.map((each) => each.to), from);
    return { from, to, text: applyReplacements(text, inner, from, to) };
  }
  return list.flow === true || list.srcToken?.type === 'flow-collection'
    ? rewriteFlow(text, list, pieces)
    : rewriteBlock(text, list, pieces);
}

function rewriteFlow(text: string, list: YAMLSeq, pieces: readonly Piece[]): Replacement {
  const ranges = list.items.map((item) => (item as Node | null)?.range ?? notEditable());
  const [first, last] = [ranges[0] ?? notEditable(), ranges.at(-1) ?? notEditable()];
  const indent = /(?:^|\n)([ \t]*)$/.exec(text.slice(0, first[0]))?.[1];
  const separator = indent === undefined ? ', ' : `,${eolOf(text)}${indent}`;
  let result = '';
  let previous = -1;
  pieces.forEach((piece, i) => {
    if (!('kept' in piece)) {
      result += (i === 0 ? '' : separator) + piece.flow();
      return;
    }
    const range = ranges[piece.kept] ?? notEditable();
    const before = ranges[piece.kept - 1];
    // An element that follows in the old order brings what stood before it, so that comments stay.
    const own = before !== undefined && piece.kept > previous ? text.slice(before[1], range[0]) : separator;
    result += (i === 0 ? '' : own) + applyReplacements(text, piece.inner, range[0], range[1]);
    previous = piece.kept;
  });
  return { from: first[0], to: last[1], text: result };
}

interface Element {
  /** What stands between the element before and this one's own comments: blank lines, comments of nobody. */
  readonly gap: string;
  readonly comments: string;
  readonly from: number;
  readonly to: number;
}

function rewriteBlock(text: string, list: YAMLSeq, pieces: readonly Piece[]): Replacement {
  const { elements, column, from, to } = elementsOf(text, list);
  const eol = eolOf(text);
  const stays = new Set(pieces.flatMap((piece) => ('kept' in piece ? [piece.kept] : [])));
  const seen = new Set<number>();
  let result = '';
  for (const piece of pieces) {
    if (!('kept' in piece)) {
      result += piece.block(column, eol);
      continue;
    }
    const element = elements[piece.kept] ?? notEditable();
    if (!seen.has(piece.kept)) {
      // Comments that belonged to nobody outlive the element before which they stood.
      for (let i = piece.kept - 1; i >= 0 && !stays.has(i); i--)
        if (!seen.has(i)) result += commentsOnly(elements[i]?.gap);
      for (let i = 0; i < piece.kept; i++) if (!stays.has(i)) seen.add(i);
      result += (result === '' ? commentsOnly(element.gap) : element.gap) + element.comments;
      seen.add(piece.kept);
    }
    result += endLine(applyReplacements(text, piece.inner, element.from, element.to), eol);
  }
  elements.forEach((element, i) => {
    if (!seen.has(i)) result += commentsOnly(element.gap);
  });
  return { from, to, text: text.slice(0, to).endsWith('\n') ? result : result.replace(/\r?\n$/, '') };
}

function elementsOf(
  text: string,
  list: YAMLSeq,
): { elements: Element[]; column: number; from: number; to: number } {
  const dashes = dashesOf(list);
  const lineStart = (at: number): number => text.lastIndexOf('\n', at - 1) + 1;
  const column = (dashes[0] ?? notEditable()) - lineStart(dashes[0] ?? 0);
  const elements: Element[] = [];
  let end = 0;
  list.items.forEach((item, i) => {
    const dash = dashes[i] ?? notEditable();
    const from = lineStart(dash);
    if (text.slice(from, dash).trim() !== '' || dash - from !== column) notEditable();
    let comments = from;
    while (comments > end) {
      const above = lineStart(comments - 1);
      if (above < end || indentOfComment(text.slice(above, comments)) !== column) break;
      comments = above;
    }
    const to = endOfElement(text, Math.max(lastOffset(item as Node | null), dash + 1), column);
    const gapFrom = i === 0 ? comments : end;
    elements.push({ gap: text.slice(gapFrom, comments), comments: text.slice(comments, from), from, to });
    end = to;
  });
  const first = elements[0] ?? notEditable();
  return { elements, column, from: first.from - first.comments.length, to: end };
}

function dashesOf(list: YAMLSeq): number[] {
  const token = list.srcToken;
  if (token?.type !== 'block-seq') return notEditable();
  return token.items.flatMap((item) =>
    item.start.filter((part) => part.type === 'seq-item-ind').map((part) => part.offset),
  );
}

/** The end of the line an element ends in, and of the deeper indented comments that follow it. */
function endOfElement(text: string, lastOfContent: number, column: number): number {
  let end = text[lastOfContent - 1] === '\n' ? lastOfContent : endOfLine(text, lastOfContent);
  for (let at = end; at < text.length;) {
    const next = endOfLine(text, at);
    const line = text.slice(at, next);
    const indent = indentOfComment(line);
    if (indent !== undefined && indent > column) end = next;
    else if (line.trim() !== '') break;
    at = next;
  }
  return end;
}

function endOfLine(text: string, at: number): number {
  const newline = text.indexOf('\n', at);
  return newline < 0 ? text.length : newline + 1;
}

function indentOfComment(line: string): number | undefined {
  return /^[ \t]*(?=#)/.exec(line)?.[0].length;
}

/** Where the last character of a node stands; block collections' own ranges reach into what follows them. */
function lastOffset(node: Node | null): number {
  if ((isMap(node) || isSeq(node)) && node.flow !== true) {
    const last = node.items.at(-1);
    if (isPair<Node, Node | null>(last)) {
      const value = isScalar(last.value) && last.value.source === '' ? null : last.value;
      return Math.max(lastOffset(last.key), value === null ? 0 : lastOffset(value));
    }
    return lastOffset((last ?? null) as Node | null);
  }
  return node?.range?.[1] ?? 0;
}

function commentsOnly(gap: string | undefined): string {
  return gap?.includes('#') === true ? gap : '';
}

function endLine(text: string, eol: string): string {
  return text.endsWith('\n') ? text : `${text}${eol}`;
}

function eolOf(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n';
}

export function notEditable(): never {
  throw new KeyferryError(
    'EncryptionConfigurationNotEditable',
    'The encryption configuration is written in a way that keyferry cannot edit without disturbing the rest of it.',
    {
      remedy:
        'Write it in block style: one list element a line, without tags, anchors or nested one-line lists.',
    },
  );
}
