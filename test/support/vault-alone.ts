import { createHash } from 'node:crypto';
import { appendFileSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pino } from 'pino';
import { type LabConfig } from '../../lab/config.ts';
import { type HttpClient } from '../../lab/http.ts';
import { labPaths } from '../../lab/paths.ts';
import { freePort } from '../../lab/ports.ts';
import { ProcessTable } from '../../lab/process.ts';
import { findServer } from '../../lab/servers.ts';
import { setUpVault, vaultAdmin, vaultLaunch, vaultUrl, writeVaultConfiguration } from '../../lab/vault.ts';
import { labOf } from './server-alone.ts';
import { type VaultAuth } from '../../src/keys/vault-session.ts';
import { VaultTransitKeyService, type VaultTransitOptions } from '../../src/keys/vault-transit.ts';
import { TokenReviewMock } from './token-review.mock.ts';

export const silent = pino({ level: 'silent' });

/** A Vault of a test file's own, without the rest of a lab; `key` is a transit key of the running test's own. */
export class VaultAlone {
  readonly config: LabConfig;
  readonly admin: HttpClient;
  /** What Vault asks about service account tokens, with `kubernetesAuth`. */
  tokenReview: TokenReviewMock | undefined;
  readonly #processes: ProcessTable;
  #services: VaultTransitKeyService[] = [];
  #keys = 0;

  private constructor(config: LabConfig, processes: ProcessTable) {
    this.config = config;
    this.#processes = processes;
    this.admin = vaultAdmin(config);
  }

  /** Builds Vault if it isn't there yet: give it ten minutes. */
  static async up(options: { kubernetesAuth?: boolean } = {}): Promise<VaultAlone> {
    const config = await labOf('vault', {
      vault: { port: await freePort(), clusterPort: await freePort() },
    });
    const processes = new ProcessTable(labPaths(config.dir).run);
    writeVaultConfiguration(config);
    if (options.kubernetesAuth === true) await addPluginFolder(config);
    await processes.startAndWait(vaultLaunch(config));
    await setUpVault(config);
    const vault = new VaultAlone(config, processes);
    if (options.kubernetesAuth === true) await vault.#enableKubernetesAuth();
    return vault;
  }

  async down(): Promise<void> {
    this.admin.close();
    await this.tokenReview?.close();
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

  /** A role of the Kubernetes auth method that may use the test's key, and a service account's token that it takes. */
  async kubernetes(role: object = {}): Promise<VaultAuth & { type: 'kubernetes' }> {
    await this.token();
    await this.write(`auth/kubernetes/role/${this.key}`, {
      bound_service_account_names: ['keyferry'],
      bound_service_account_namespaces: ['kube-system'],
      token_policies: [this.key],
      ...role,
    });
    const token = this.tokenReview?.issue('kube-system', 'keyferry') ?? '';
    return {
      type: 'kubernetes',
      mount: 'kubernetes',
      role: this.key,
      tokenFile: this.file(`${this.key}.jwt`, token),
    };
  }

  /** A second listener, over TLS and for clients with a certificate only, from the next start on; all from Vault's own PKI. */
  async listenWithTls(port: number): Promise<{ ca: string; cert: string; key: string }> {
    await this.write('sys/mounts/pki', { type: 'pki' });
    const root = (await this.write('pki/root/generate/internal', { common_name: 'test' })) as {
      data: { certificate: string };
    };
    await this.write('pki/roles/any', {
      allow_any_name: true,
      allow_ip_sans: true,
      key_type: 'ec',
      key_bits: 256,
    });
    const issue = async (name: string) => {
      const issued = (await this.write('pki/issue/any', {
        common_name: name,
        ip_sans: '127.0.0.1',
        ttl: '1h',
      })) as {
        data: { certificate: string; private_key: string };
      };
      return { cert: issued.data.certificate, key: issued.data.private_key };
    };
    const ca = root.data.certificate;
    const server = await issue('localhost');
    appendFileSync(
      labPaths(this.config.dir).vault.config,
      `listener "tcp" {
  address                            = "127.0.0.1:${port}"
  tls_cert_file                      = ${JSON.stringify(this.file('tls.crt', server.cert))}
  tls_key_file                       = ${JSON.stringify(this.file('tls.key', server.key))}
  tls_client_ca_file                 = ${JSON.stringify(this.file('tls.ca', ca))}
  tls_require_and_verify_client_cert = true
}
`,
    );
    return { ca, ...(await issue('plugin')) };
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

  async #enableKubernetesAuth(): Promise<void> {
    this.tokenReview = await TokenReviewMock.start();
    const sha256 = createHash('sha256')
      .update(readFileSync(pluginFile(this.config)))
      .digest('hex');
    await this.write('sys/plugins/catalog/auth/kubernetes', {
      sha256,
      command: basename(pluginFile(this.config)),
    });
    await this.write('sys/auth/kubernetes', { type: 'kubernetes' });
    await this.write('auth/kubernetes/config', {
      kubernetes_host: this.tokenReview.url,
      disable_local_ca_jwt: true,
    });
  }

  async closeServices(): Promise<void> {
    await Promise.all(this.#services.map((service) => service.close()));
    this.#services = [];
  }
}

function pluginFile(config: LabConfig): string {
  return join(config.dir, 'plugins', 'vault-plugin-auth-kubernetes');
}

/** Vault runs plugins out of one folder only, and none that a link leads out of it. */
async function addPluginFolder(config: LabConfig): Promise<void> {
  const plugin = await findServer('vault-plugin-auth-kubernetes', (line) =>
    process.stderr.write(`${line}\n`),
  );
  const file = pluginFile(config);
  mkdirSync(dirname(file));
  copyFileSync(plugin, file);
  appendFileSync(labPaths(config.dir).vault.config, `plugin_directory = ${JSON.stringify(dirname(file))}\n`);
}
