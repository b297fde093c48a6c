import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { withGeneration } from '../keys/generation.ts';
import { InMemoryTestDoubleKeyService } from '../keys/in-memory.test-helper.ts';
import { type KeyService } from '../keys/key-service.ts';
import { type KmsPluginClient } from './client.ts';
import { Ledger } from './ledger.ts';
import { PluginBench } from './plugin.test-helper.ts';
import { RotationClient } from './rotation-client.ts';
import { type KmsPluginServer } from './server.ts';

/** The key ids of the first versions of the bench's key. */
export const [a, b, c] = [1, 2, 3].map((version) => `in-memory-test-double/v${version}`) as [
  string,
  string,
  string,
];

export interface LedPlugin {
  readonly server: KmsPluginServer;
  readonly client: KmsPluginClient;
  readonly lead: RotationClient;
}

/** Plugins of one test whose rotation is led, over one key. */
export class LedBench extends PluginBench {
  readonly keys = new InMemoryTestDoubleKeyService();

  /** A plugin of one node: another one with the same node's name is that plugin after a restart. */
  async led(
    node = 'node-1',
    options: Parameters<PluginBench['plugin']>[1] & { readonly service?: KeyService } = {},
  ): Promise<LedPlugin> {
    const ledger = await Ledger.open(this.ledgerOf(node));
    const service = options.service ?? withGeneration(this.keys, 1);
    const { server, client, endpoint } = await this.plugin(service, { ledger, ...options });
    const lead = this.leader(endpoint);
    return { server, client, lead };
  }

  leader(endpoint: string): RotationClient {
    const lead = new RotationClient(endpoint);
    this.atEnd(() => lead.close());
    return lead;
  }

  ledgerOf(node: string): string {
    mkdirSync(join(this.folder, node), { recursive: true });
    return join(this.folder, node, 'ledger.json');
  }

  /** From A, which a Status has named, to B. */
  async rotate({ client, lead }: LedPlugin): Promise<void> {
    await client.status();
    this.keys.rotate();
    await lead.announce(b);
  }
}
