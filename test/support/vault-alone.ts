import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { type LabConfig } from '../../lab/config.ts';
import { type HttpClient } from '../../lab/http.ts';
import { labPaths } from '../../lab/paths.ts';
import { freePort } from '../../lab/ports.ts';
import { ProcessTable } from '../../lab/process.ts';
import { findServer } from '../../lab/servers.ts';
import { setUpVault, vaultAdmin, vaultLaunch, vaultUrl, writeVaultConfiguration } from '../../lab/vault.ts';
import { type VaultAuth } from '../../src/keys/vault-session.ts';
import { VaultTransitKeyService, type VaultTransitOptions } from '../../src/keys/vault-transit.ts';

export const silent = pino({ level: 'silent' });

/** A Vault of a test file's own, without the rest of a lab; `key` is a transit key of the running test's own. */
export class VaultAlone {
  readonly config: LabConfig;
  readonly admin: HttpClient;
  readonly #processes: ProcessTable;
  #services: VaultTransitKeyService[] = [];
  #keys = 0;

  private constructor(config: LabConfig, processes: ProcessTable) {
    this.config = config;
    this.#processes = processes;
    this.admin = vaultAdmin(config);
  }

  /** Builds Vault if it isn't there yet: give it ten minutes. */
  static async up(): Promise<VaultAlone> {
    const dir = mkdtempSync(join(tmpdir(), 'kf-vault-'));
    const config: LabConfig = {
      kind: 'keyferry-lab',
      dir,
      complete: true,
      createdAt: new Date().toISOString(),
      cluster: 'vault-alone',
      binaries: { vault: await findServer('vault', (line) => process.stderr.write(`${line}\n`)) },
      etcd: { members: [], quotaBytes: 0 },
      apiServers: [],
      sourcePlugins: false,
      apiServerOptions: {
        reload: true,
        requestTimeoutSeconds: 60,
        etcdCompactionSeconds: 300,
        ownHostName: [],
      },
      vault: { port: await freePort(), clusterPort: await freePort() },
    };
    const processes = new ProcessTable(labPaths(dir).run);
    writeVaultConfiguration(config);
    await processes.startAndWait(vaultLaunch(config));
    await setUpVault(config);
    return new VaultAlone(config, processes);
  }

  async down(): Promise<void> {
    this.admin.close();
    await this.stop();
    rmSync(this.config.dir, { recursive: true, force: true });
  }

  async start(): Promise<void> {
    await this.#processes.startAndWait(vaultLaunch(this.config));
  }

  async stop(): Promise<void> {
    await this.#processes.stop('vault');
  }

  async signal(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    await this.#processes.signal('vault', signal);
  }

  get key(): string {
    return `k${this.#keys}`;
  }

  async newKey(): Promise<void> {
    this.#keys += 1;
    await this.write(`transit/keys/${this.key}`, { type: 'aes256-gcm96' });
  }

  async removeKey(): Promise<void> {
    await this.write(`transit/keys/${this.key}/config`, { deletion_allowed: true });
    await this.admin.expect('DELETE', `/v1/transit/keys/${this.key}`);
  }

  async write(path: string, body: object = {}): Promise<unknown> {
    const { text } = await this.admin.expect('POST', `/v1/${path}`, body);
    return text === '' ? undefined : JSON.parse(text);
  }

  file(name: string, content: string): string {
    const path = join(this.config.dir, name);
    writeFileSync(path, `${content}\n`);
    return path;
  }

  /** A token that may use the test's key, but for what `capabilities` changes. */
  async token(capabilities: Record<string, string> = {}, options: object = {}): Promise<string> {
    const rights = { encrypt: 'update', decrypt: 'update', keys: 'read', ...capabilities };
    const policy = Object.entries(rights)
      .map(([verb, may]) => `path "transit/${verb}/${this.key}" { capabilities = [${may && `"${may}"`}] }`)
      .join('\n');
    await this.admin.expect('PUT', `/v1/sys/policies/acl/${this.key}`, { policy });
    const made = (await this.write('auth/token/create-orphan', { policies: [this.key], ...options })) as {
      auth: { client_token: string };
    };
    return made.auth.client_token;
  }

  async tokenFile(capabilities: Record<string, string> = {}, options: object = {}): Promise<string> {
    return this.file(`${this.key}.token`, await this.token(capabilities, options));
  }

  async appRole(role: object, secretId: object = {}): Promise<VaultAuth> {
    await this.token();
    const path = `auth/approle/role/${this.key}`;
    await this.write(path, { token_policies: [this.key], ...role });
    const id = JSON.parse((await this.admin.expect('GET', `/v1/${path}/role-id`)).text) as {
      data: { role_id: string };
    };
    const secret = (await this.write(`${path}/secret-id`, secretId)) as { data: { secret_id: string } };
    return {
      type: 'approle',
      mount: 'approle',
      roleIdFile: this.file(`${this.key}.role`, id.data.role_id),
      secretIdFile: this.file(`${this.key}.secret`, secret.data.secret_id),
    };
  }

  /** The test's key as a key service; `auth` may be the path of a token file. */
  service(auth: VaultAuth | string, over: Partial<VaultTransitOptions> = {}): VaultTransitKeyService {
    const made = new VaultTransitKeyService(
      {
        service: 'test-vault',
        address: vaultUrl(this.config),
        mount: 'transit',
        key: this.key,
        auth: typeof auth === 'string' ? { type: 'token-file', tokenFile: auth } : auth,
        ...over,
      },
      silent,
    );
    this.#services.push(made);
    return made;
  }

  async closeServices(): Promise<void> {
    await Promise.all(this.#services.map((service) => service.close()));
    this.#services = [];
  }
}
