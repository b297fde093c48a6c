import { isAlias, isMap, isScalar, isSeq, type Document, type Node, type Scalar, type YAMLSeq } from 'yaml';
import type { ProblemList } from './problems.ts';
import type {
  EntryModel,
  Field,
  FileModel,
  KeyModel,
  KmsModel,
  LocalProviderModel,
  ProviderModel,
} from './model.ts';
import type { LocalProviderType } from './types.ts';

interface Value {
  readonly key: Node;
  readonly node: Node | null;
}

const kinds = [
  { apiVersion: 'apiserver.config.k8s.io/v1', kind: 'EncryptionConfiguration' },
  // An older spelling that Kubernetes still takes.
  { apiVersion: 'v1', kind: 'EncryptionConfig' },
];

/** Turns a document into the model, telling of unknown fields and wrong types as Kubernetes' strict decoding does. */
export function decode(document: Document.Parsed, problems: ProblemList): FileModel {
  const decoder = new Decoder(document, problems);
  return decoder.file();
}

class Decoder {
  readonly #document: Document.Parsed;
  readonly #problems: ProblemList;
  #aliased: Node | undefined;

  constructor(document: Document.Parsed, problems: ProblemList) {
    this.#document = document;
    this.#problems = problems;
  }

  file(): FileModel {
    const root = this.#document.contents;
    const at = offsetOf(root, 0);
    const fields = this.#fields(root, '', ['apiVersion', 'kind', 'resources'], at);
    const apiVersion = this.#text(fields.get('apiVersion'), 'apiVersion', at);
    const kind = this.#text(fields.get('kind'), 'kind', at);
    if (!apiVersion.broken && !kind.broken) this.#checkKind(apiVersion, kind);
    const { items, node } = this.#list(fields.get('resources'), 'resources');
    const entries = items.map((item, i) => this.#entry(item, `resources[${i}]`, offsetOf(item, at)));
    return {
      at: fields.get('resources')?.key.range?.[0] ?? at,
      entries,
      entriesNode: node,
      aliased: this.#aliased,
    };
  }

  #checkKind(apiVersion: Field, kind: Field): void {
    if (kinds.some((known) => known.apiVersion === apiVersion.value && known.kind === kind.value)) return;
    const wanted = 'apiVersion: apiserver.config.k8s.io/v1 and kind: EncryptionConfiguration';
    const missing = [apiVersion, kind].find((field) => field.value === '');
    const wrong = kinds.some((known) => known.apiVersion === apiVersion.value) ? kind : apiVersion;
    const { at, path } = missing ?? wrong;
    const what = missing === undefined ? 'tells of another kind of file' : 'is missing';
    const message = `${path} ${what}: kube-apiserver takes an encryption configuration alone`;
    this.#problems.error(path, at, message, `Write ${wanted}.`);
  }

  #entry(node: Node | null, path: string, at: number): EntryModel {
    const fields = this.#fields(node, path, ['resources', 'providers'], at);
    const resources = this.#list(fields.get('resources'), `${path}.resources`);
    const providers = this.#list(fields.get('providers'), `${path}.providers`);
    const resolved = this.#resolve(node);
    return {
      at,
      path,
      node: isMap(resolved) ? resolved : undefined,
      resources: resources.items.map((item, i) =>
        this.#textAt(item, `${path}.resources[${i}]`, offsetOf(item, at)),
      ),
      resourcesNode: resources.node,
      providers: providers.items.map((item, i) =>
        this.#provider(item, `${path}.providers[${i}]`, offsetOf(item, at)),
      ),
      providersNode: providers.node,
    };
  }

  #provider(node: Node | null, path: string, at: number): ProviderModel {
    const fields = this.#fields(node, path, ['aesgcm', 'aescbc', 'secretbox', 'identity', 'kms'], at);
    // A field that is there but null is as good as absent.
    const given = [...fields].filter(([, value]) => this.#resolve(value.node) !== null);
    const located = { at, path, typesFound: given.length };
    const [type, value] = given[0] ?? ['none', undefined];
    if (value === undefined) return { ...located, type: 'none' };
    const inner = `${path}.${type}`;
    if (type === 'kms') return { ...located, type, kms: this.#kms(value, inner) };
    if (type === 'aescbc' || type === 'aesgcm' || type === 'secretbox')
      return { ...located, ...this.#local(type, value, inner) };
    this.#fields(value.node, inner, [], at);
    return { ...located, type: 'identity' };
  }

  #local(
    type: LocalProviderType,
    value: Value,
    path: string,
  ): Pick<LocalProviderModel, 'type' | 'keys' | 'keysNode'> {
    const at = offsetOf(value.key, 0);
    const fields = this.#fields(value.node, path, ['keys'], at);
    const { items, node } = this.#list(fields.get('keys'), `${path}.keys`);
    const keys = items.map((item, i) => this.#key(item, `${path}.keys[${i}]`, offsetOf(item, at)));
    return { type, keys, keysNode: node };
  }

  #key(node: Node | null, path: string, at: number): KeyModel {
    const fields = this.#fields(node, path, ['name', 'secret'], at);
    return {
      name: this.#text(fields.get('name'), `${path}.name`, at),
      secret: this.#text(fields.get('secret'), `${path}.secret`, at),
    };
  }

  #kms(value: Value, path: string): KmsModel {
    const at = offsetOf(value.key, 0);
    const fields = this.#fields(
      value.node,
      path,
      ['apiVersion', 'name', 'endpoint', 'cachesize', 'timeout'],
      at,
    );
    const timeout = fields.get('timeout');
    return {
      apiVersion: this.#text(fields.get('apiVersion'), `${path}.apiVersion`, at),
      name: this.#text(fields.get('name'), `${path}.name`, at),
      endpoint: this.#text(fields.get('endpoint'), `${path}.endpoint`, at),
      timeout: this.#resolve(timeout?.node) === null ? undefined : this.#text(timeout, `${path}.timeout`, at),
      cacheSize: this.#integer(fields.get('cachesize'), `${path}.cachesize`),
    };
  }

  #fields(node: Node | null, path: string, allowed: readonly string[], at: number): Map<string, Value> {
    const found = new Map<string, Value>();
    const resolved = this.#resolve(node);
    if (resolved === null) return found;
    if (!isMap<Node, Node | null>(resolved)) {
      this.#wrongType(path, offsetOf(resolved, at), 'a mapping of fields');
      return found;
    }
    for (const { key, value } of resolved.items) {
      const name = isScalar(key) && typeof key.value === 'string' ? key.value : undefined;
      if (isScalar(key) && (key.value === '<<' || typeof key.value === 'symbol'))
        this.#merge(value, path, allowed, found);
      else if (name !== undefined && allowed.includes(name))
        this.#set(found, name, { key, node: value }, path);
      else this.#unknownField(path, name, offsetOf(key, at), allowed);
    }
    return found;
  }

  #set(fields: Map<string, Value>, name: string, value: Value, path: string): void {
    if (fields.has(name)) {
      const message = `the field "${name}" stands twice, once by a merge (<<); kube-apiserver refuses to choose`;
      this.#problems.error(
        `${path}.${name}`,
        offsetOf(value.key, 0),
        message,
        'Write the mapping out, without the merge.',
      );
    }
    fields.set(name, value);
  }

  /** `<<: *other`: the fields of another mapping. */
  #merge(value: Node | null, path: string, allowed: readonly string[], into: Map<string, Value>): void {
    this.#aliased ??= value ?? undefined;
    const resolved = this.#resolve(value);
    for (const source of isSeq<Node>(resolved) ? resolved.items : [value]) {
      for (const [name, field] of this.#fields(source, path, allowed, offsetOf(value, 0))) {
        this.#set(into, name, field, path);
      }
    }
  }

  #unknownField(path: string, name: string | undefined, at: number, allowed: readonly string[]): void {
    const label = name !== undefined && /^[A-Za-z][\w-]{0,19}$/.test(name) ? name : undefined;
    const near =
      name === undefined ? undefined : allowed.find((field) => field.toLowerCase() === name.toLowerCase());
    this.#problems.error(
      [path, label].filter(Boolean).join('.'),
      at,
      `unknown field${label === undefined ? '' : ` "${label}"`}: kube-apiserver reads strictly and refuses the file`,
      near !== undefined
        ? `Write it as "${near}".`
        : allowed.length === 0
          ? 'Remove it: nothing may stand in here.'
          : `Remove it, or use one of: ${allowed.join(', ')}.`,
    );
  }

  #list(value: Value | undefined, path: string): { items: (Node | null)[]; node: YAMLSeq | undefined } {
    const resolved = this.#resolve(value?.node);
    if (resolved === null) return { items: [], node: undefined };
    if (isSeq<Node | null>(resolved)) return { items: resolved.items, node: resolved };
    this.#wrongType(path, offsetOf(resolved, 0), 'a list');
    return { items: [], node: undefined };
  }

  #text(value: Value | undefined, path: string, parentAt: number): Field {
    return this.#textAt(
      value?.node ?? null,
      path,
      value === undefined ? parentAt : offsetOf(value.node, offsetOf(value.key, parentAt)),
    );
  }

  #textAt(node: Node | null, path: string, at: number): Field {
    const resolved = this.#resolve(node);
    if (resolved === null) return { value: '', at, path, broken: false };
    if (isText(resolved)) return { value: resolved.value, at, path, broken: false };
    this.#wrongType(path, at, 'a text (a number or a word such as yes, no, on, off needs quotes)');
    return { value: '', at, path, broken: true };
  }

  #integer(value: Value | undefined, path: string): KmsModel['cacheSize'] {
    const resolved = this.#resolve(value?.node);
    if (resolved === null) return undefined;
    const at = offsetOf(resolved, 0);
    const number = isScalar(resolved) && typeof resolved.value === 'number' ? resolved.value : Number.NaN;
    if (Number.isInteger(number) && number >= -(2 ** 31) && number < 2 ** 31)
      return { value: number, at, path };
    this.#wrongType(path, at, 'a whole number of 32 bits');
    return undefined;
  }

  #wrongType(path: string, at: number, wanted: string): void {
    this.#problems.error(path, at, `wrong type: this has to be ${wanted}`, `Write ${wanted} here.`);
  }

  /** Follows aliases; null and `~` are as good as absent. */
  #resolve(node: Node | null | undefined): Node | null {
    if (isAlias(node)) {
      this.#aliased ??= node;
      return this.#resolve(node.resolve(this.#document));
    }
    return node === undefined || (isScalar(node) && node.value === null) ? null : node;
  }
}

function offsetOf(node: Node | null | undefined, otherwise: number): number {
  return node?.range?.[0] ?? otherwise;
}

function isText(node: Node): node is Scalar<string> {
  if (!isScalar(node) || typeof node.value !== 'string') return false;
  // Go's reader takes the octal numbers of YAML 1.2 too.
  return node.type !== 'PLAIN' || !/^[-+]?0o[0-7_]+$/.test(node.value);
}
