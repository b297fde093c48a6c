import { closest, distance } from 'fastest-levenshtein';
import { LineCounter, parseDocument, type Document } from 'yaml';
import { z } from 'zod';
import { KeyferryError } from '../errors.ts';
import { migrationSchema, type Migration } from './migration.ts';
import { storageVersionMigrationSchema, type StorageVersionMigration } from './storage-version-migration.ts';

/** One thing wrong with a document: where, what, and what to write instead. Lines and columns count from 1. */
export interface SpecProblem {
  path: string;
  line?: number;
  column?: number;
  message: string;
  suggestion?: string;
}

/** What a user writes, by its kind. */
export const schemas = {
  Migration: migrationSchema,
  StorageVersionMigration: storageVersionMigrationSchema,
} as const;

export type Kind = keyof typeof schemas;
export type AnyDocument = Migration | StorageVersionMigration;

/** A document that isn't valid for its kind; all that is wrong with it at once. */
export class SpecInvalidError extends KeyferryError {
  override readonly name = 'SpecInvalidError';
  readonly problems: readonly SpecProblem[];

  constructor(file: string, problems: readonly SpecProblem[], kind: Kind = 'Migration') {
    super(
      'SpecInvalid',
      `${file} is not a valid ${kind}:\n${problems.map((p) => describe(file, p)).join('\n')}`,
      {
        remedy: 'mend the lines above; "keyferry schema" prints the JSON Schema for your editor',
      },
    );
    this.problems = problems;
  }
}

/**
 * Reads a Migration from YAML or JSON text, with defaults filled in.
 *
 * @param file - the name to show in errors
 * @throws SpecInvalidError with every problem, each with its path and, from YAML, its line
 */
export function parseMigration(text: string, file: string): Migration {
  return parsed(readYaml(text, file), 'Migration', file);
}

/**
 * As {@link parseMigration}, of a document of any kind; one without a kind that is known is taken for a Migration.
 *
 * @throws SpecInvalidError
 */
export function parseAny(text: string, file: string): AnyDocument {
  const read = readYaml(text, file);
  const kind: unknown = read.document.get('kind');
  return kind === 'StorageVersionMigration' ? parsed(read, kind, file) : parsed(read, 'Migration', file);
}

interface ReadDocument {
  document: Document;
  lines: LineCounter;
}

function readYaml(text: string, file: string): ReadDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  if (document.errors.length === 0) return { document, lines };
  throw new SpecInvalidError(
    file,
    document.errors.map((error) => {
      const { line, col } = lines.linePos(error.pos[0]);
      return { path: '', line, column: col, message: error.message.split('\n')[0] ?? 'is not YAML' };
    }),
  );
}

function parsed<K extends Kind>(
  { document, lines }: ReadDocument,
  kind: K,
  file: string,
): z.output<(typeof schemas)[K]> {
  const schema = schemas[kind];
  const result = schema.safeParse(document.toJS());
  if (result.success) return result.data as z.output<(typeof schemas)[K]>;
  throw new SpecInvalidError(
    file,
    result.error.issues.flatMap((issue) =>
      problemsOf(issue, schema).map((problem) => located(problem, issue, document, lines)),
    ),
    kind,
  );
}

function problemsOf(issue: z.core.$ZodIssue, schema: z.ZodType): SpecProblem[] {
  const path = pathOf(issue.path);
  if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message, ...suggestionFor(issue) }];
  return issue.keys.map((key) => {
    const near = nearest(key, keysAt(schema, issue.path));
    return {
      path: path === '' ? key : `${path}.${key}`,
      message: 'is not a field here',
      ...(near === undefined ? {} : { suggestion: `did you mean "${near}"?` }),
    };
  });
}

function suggestionFor(issue: z.core.$ZodIssue): { suggestion?: string } {
  if (issue.code === 'invalid_value') return { suggestion: `use ${issue.values.map(String).join(' or ')}` };
  return {};
}

/** The fields the schema knows at a path, to suggest the nearest one. */
function keysAt(of: z.ZodType, path: readonly PropertyKey[]): string[] {
  let schema: unknown = z.toJSONSchema(of, { io: 'input' });
  for (const step of path) {
    const node = schema as { properties?: Record<string, unknown>; items?: unknown };
    schema = typeof step === 'number' ? node.items : node.properties?.[String(step)];
  }
  return Object.keys((schema as { properties?: Record<string, unknown> } | undefined)?.properties ?? {});
}

function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (candidates.length === 0) return undefined;
  const best = closest(word, candidates);
  return distance(word.toLowerCase(), best.toLowerCase()) <= Math.max(2, word.length / 3) ? best : undefined;
}

function located(
  problem: SpecProblem,
  issue: z.core.$ZodIssue,
  document: Document,
  lines: LineCounter,
): SpecProblem {
  const full =
    issue.code === 'unrecognized_keys' ? [...issue.path, problem.path.split('.').at(-1) ?? ''] : issue.path;
  // The nearest node that exists: a missing field has no place of its own, its parent has.
  for (let depth = full.length; depth >= 0; depth -= 1) {
    const node: unknown = document.getIn(full.slice(0, depth), true);
    const range = (node as { range?: [number, number, number] | null } | undefined)?.range;
    if (range !== undefined && range !== null) {
      const { line, col } = lines.linePos(range[0]);
      return { ...problem, line, column: col };
    }
  }
  return problem;
}

function pathOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, step) =>
      typeof step === 'number' ? `${text}[${step}]` : text === '' ? String(step) : `${text}.${String(step)}`,
    '',
  );
}

function describe(file: string, problem: SpecProblem): string {
  const place = problem.line === undefined ? file : `${file}:${problem.line}:${problem.column ?? 1}`;
  const suggestion = problem.suggestion === undefined ? '' : ` (${problem.suggestion})`;
  return `  ${place}  ${problem.path === '' ? 'document' : problem.path}: ${problem.message}${suggestion}`;
}
