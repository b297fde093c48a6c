import { waitFor } from '../../lab/wait.ts';
import { type ControlPlane } from './control-plane.ts';
import { type ConversionWebhook } from './conversion-webhook.ts';
import { storedUnder } from './etcd.ts';
import { customResource, letKeyferryMove } from './storage-versions.ts';

const GROUP = 'stable.example.com';
const PLURAL = 'selfierequests';
const NAME = `${PLURAL}.${GROUP}`;
const FIELDS: Readonly<Record<string, readonly string[]>> = { v1: ['hostPort'], v2: ['host', 'port'] };

/** SelfieRequests of the Kubernetes documentation: v1 with `hostPort`, v2 with `host` and `port`, and a webhook between them. */
export class Selfies {
  /** As a document lists it. */
  readonly resource = NAME;
  readonly #plane: ControlPlane;
  readonly #webhook: ConversionWebhook;
  readonly #objects: number;

  private constructor(plane: ControlPlane, webhook: ConversionWebhook, objects: number) {
    this.#plane = plane;
    this.#webhook = webhook;
    this.#objects = objects;
  }

  /** Makes the definition and so many objects of it in v1, then lets it serve v2 as well and store that. */
  static async up(plane: ControlPlane, webhook: ConversionWebhook, objects: number): Promise<Selfies> {
    const selfies = new Selfies(plane, webhook, objects);
    await selfies.ask('POST', customResource.path, selfies.#definition(['v1'], 'v1'));
    await letKeyferryMove(plane, GROUP, PLURAL);
    await selfies.#onEveryNode('v1', 404);
    for (let i = 0; i < objects; i += 1) {
      await selfies.ask('POST', selfies.#path('v1'), {
        apiVersion: `${GROUP}/v1`,
        kind: 'SelfieRequest',
        metadata: { name: selfies.nameOf(i), namespace: 'default' },
        ...selfies.#contentOf(i),
      });
    }
    await selfies.store('v2');
    return selfies;
  }

  nameOf(i: number): string {
    return `cr-${String(i).padStart(3, '0')}`;
  }

  /** Stores a version from now on, and serves both; waits until every API server does. */
  async store(storage: string): Promise<void> {
    const { spec } = this.#definition(['v2', 'v1'], storage);
    await this.ask('PATCH', `${customResource.path}/${NAME}`, { spec });
    for (const version of ['v1', 'v2']) await this.#onEveryNode(version, 200);
  }

  /** Takes v1 out of the definition, which an API server lets pass once no stored version is called so. */
  async dropV1(): Promise<void> {
    const { spec } = this.#definition(['v2'], 'v2');
    await this.ask('PATCH', `${customResource.path}/${NAME}`, { spec });
  }

  async storedVersions(): Promise<string[]> {
    const { status } = await this.ask('GET', `${customResource.path}/${NAME}`);
    return (status as { storedVersions: string[] }).storedVersions;
  }

  /** Sets the stored versions, as the cluster's own migrator does. */
  async setStoredVersions(storedVersions: readonly string[]): Promise<void> {
    await this.ask('PATCH', `${customResource.path}/${NAME}/status`, { status: { storedVersions } });
  }

  /** The names of the objects that lie in a version, as etcd's own bytes say. */
  async lyingAs(version: string): Promise<string[]> {
    const values = await storedUnder(this.#plane.lab, `/registry/${GROUP}/${PLURAL}/`);
    return values
      .map(({ value }) => JSON.parse(value.toString()) as { apiVersion: string; metadata: { name: string } })
      .filter(({ apiVersion }) => apiVersion === `${GROUP}/${version}`)
      .map(({ metadata }) => metadata.name);
  }

  /** The objects that don't say what they were made with, by either version. */
  async changed(): Promise<string[]> {
    const changed: string[] = [];
    for (let i = 0; i < this.#objects; i += 1) {
      const name = this.nameOf(i);
      const { hostPort } = await this.ask('GET', `${this.#path('v1')}/${name}`);
      const { host, port } = await this.ask('GET', `${this.#path('v2')}/${name}`);
      const { hostPort: made } = this.#contentOf(i);
      const [madeHost, madePort] = made?.split(':') ?? [];
      if (hostPort !== made || host !== madeHost || port !== madePort) changed.push(name);
    }
    return changed;
  }

  async ask(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : undefined;
    const { status, text } = await this.#plane.ask('cp-1', method, path, body, type);
    if (status >= 300) throw new Error(`${method} ${path} answered ${status}: ${text}`);
    return JSON.parse(text) as Record<string, unknown>;
  }

  /** Some say nothing at all, as cr1 of the Kubernetes documentation. */
  #contentOf(i: number): { hostPort?: string } {
    return i % 10 === 0 ? {} : { hostPort: `host-${i}:${i}` };
  }

  #path(version: string): string {
    return `/apis/${GROUP}/${version}/namespaces/default/${PLURAL}`;
  }

  #definition(served: readonly string[], storage: string) {
    const versions = served.map((version) => [
      version,
      Object.fromEntries((FIELDS[version] ?? []).map((field) => [field, { type: 'string' }])),
    ]);
    const { url, caBundle } = this.#webhook;
    const conversion = {
      strategy: 'Webhook',
      webhook: { clientConfig: { url, caBundle }, conversionReviewVersions: ['v1'] },
    };
    return customResource.definition(
      PLURAL,
      'SelfieRequest',
      Object.fromEntries(versions) as Record<string, object>,
      storage,
      { group: GROUP, conversion },
    );
  }

  async #onEveryNode(version: string, status: number): Promise<void> {
    for (const node of this.#plane.lab.nodes) {
      const what = `${version} to be served by ${node}`;
      await waitFor({ what, timeoutMs: 60_000, intervalMs: 200 }, async () => {
        const answer = await this.#plane.ask(node, 'GET', `${this.#path(version)}/${this.nameOf(1)}`);
        // Until a definition is served, the answer is a 404 of another kind.
        return answer.status === status && /selfierequest/i.test(answer.text);
      });
    }
  }
}
