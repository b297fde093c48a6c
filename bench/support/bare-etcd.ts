import { Etcd3 } from 'etcd3';
import { etcdUrls } from '../../lab/etcd.ts';
import type { Lab } from '../../lab/lab.ts';

export interface Put {
  readonly key: Buffer;
  readonly value: Buffer;
  /** Only where the value still lies that this revision wrote. */
  readonly modRevision?: number;
}

/** etcd as a script would use it, with nothing of keyferry's around it. */
export class BareEtcd {
  readonly #client: Etcd3;
  readonly #kv: Etcd3['kv'];

  constructor(lab: Lab) {
    this.#client = new Etcd3({ hosts: etcdUrls(lab.config) });
    this.#kv = this.#client.kv;
  }

  async get(key: Buffer): Promise<Buffer> {
    const { kvs } = await this.#kv.range({ key });
    return kvs[0]?.value ?? Buffer.alloc(0);
  }

  /** @returns so many values of a range at most, in order, with the revisions that wrote them */
  async page(start: Buffer, end: Buffer, limit: number): Promise<Required<Put>[]> {
    const { kvs } = await this.#kv.range({ key: start, range_end: end, limit });
    return kvs.map(({ key, value, mod_revision }) => ({ key, value, modRevision: Number(mod_revision) }));
  }

  /** In one transaction. @returns whether they were written */
  async put(puts: readonly Put[]): Promise<boolean> {
    const { succeeded } = await this.#kv.txn({
      compare: puts.flatMap(({ key, modRevision }) =>
        modRevision === undefined
          ? []
          : [{ key, target: 'Mod', result: 'Equal', mod_revision: modRevision } as const],
      ),
      success: puts.map(({ key, value }) => ({ request_put: { key, value } })),
    });
    return succeeded;
  }

  close(): void {
    this.#client.close();
  }
}
