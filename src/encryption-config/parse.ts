import { KeyferryError } from '../errors.ts';
import { decode } from './decode.ts';
import { loadDocument } from './document.ts';
import { summaryOf, type FileModel } from './model.ts';
import type { ProblemList } from './problems.ts';
import { checkProviders } from './provider-rules.ts';
import { checkMasking, checkResources } from './resource-rules.ts';
import type { EncryptionConfiguration, Problem } from './types.ts';

export interface ValidationOptions {
  /** Whether the API servers run with `--feature-gates=KMSv1=true`, off by default since 1.29. */
  readonly kmsV1?: boolean;
  /**
   * Whether the API servers take up a changed file by themselves (`--encryption-provider-config-automatic-reload`): then the names
   * of kms v1 entries have to be unique as well. True when absent.
   */
  readonly reload?: boolean;
}

/** A file that kube-apiserver would refuse; `problems` has all that is wrong with it. */
export class InvalidEncryptionConfigurationError extends KeyferryError {
  override readonly name = 'InvalidEncryptionConfigurationError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const errors = problems.filter((problem) => problem.severity === 'error');
    const [first] = errors;
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
    super(
      'EncryptionConfigurationInvalid',
      `The encryption configuration is not valid: ${first === undefined ? 'unknown' : describe(first)}${more}`,
      { remedy: first?.remedy ?? 'Check the file with: keyferry encryption-config validate FILE' },
    );
    this.problems = problems;
  }
}

function describe({ line, column, path, message }: Problem): string {
  return `${line}:${column}: ${path === '' ? '' : `${path}: `}${message}`;
}

/**
 * Everything that kube-apiserver would refuse in a file, and what it would take otherwise than it looks. Holds no key material.
 *
 * @param text - YAML or JSON, as it lies in the file
 */
export function validateEncryptionConfiguration(text: string, options: ValidationOptions = {}): Problem[] {
  return inspect(text, options).problems.all();
}

/**
 * Reads a file into its entries, without key material.
 *
 * @throws {@link InvalidEncryptionConfigurationError} when kube-apiserver would refuse it
 */
export function parseEncryptionConfiguration(
  text: string,
  options: ValidationOptions = {},
): EncryptionConfiguration {
  return configurationOf(parseModel(text, options));
}

/** The model of a valid file; for this room alone, since it holds key material. */
export function parseModel(text: string, options: ValidationOptions = {}): FileModel {
  const { model, problems } = inspect(text, options);
  const found = problems.all();
  if (model === undefined || found.some((problem) => problem.severity === 'error')) {
    throw new InvalidEncryptionConfigurationError(found);
  }
  return model;
}

export function configurationOf(model: FileModel): EncryptionConfiguration {
  return {
    entries: model.entries.map((entry) => ({
      resources: entry.resources.map((resource) => resource.value),
      providers: entry.providers.map(summaryOf),
    })),
  };
}

function inspect(
  text: string,
  options: ValidationOptions,
): { model: FileModel | undefined; problems: ProblemList } {
  const { document, problems } = loadDocument(text);
  if (document === undefined || document.errors.length > 0) return { model: undefined, problems };
  const model = decode(document, problems);
  if (model.entries.length === 0 && problems.all().length === 0) {
    const message = 'the configuration has no resources: nothing says what to encrypt';
    problems.error('resources', model.at, message, 'List at least one entry with resources and providers.');
  }
  const kmsNames = new Map<string, string>();
  for (const entry of model.entries) {
    checkResources(entry, problems);
    checkProviders(
      entry,
      kmsNames,
      { kmsV1: options.kmsV1 ?? false, reload: options.reload ?? true },
      problems,
    );
  }
  checkMasking(model, problems);
  return { model, problems };
}
