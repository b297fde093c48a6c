import { mkdirSync, readFileSync } from 'node:fs';
import { type LabConfig, type VaultConfig } from './config.ts';
import { writeByRename } from './files.ts';
import { HttpClient } from './http.ts';
import { binaryOf, notPartOfThisLab } from './launch.ts';
import { labPaths } from './paths.ts';
import { type Launch } from './process.ts';
import { waitFor } from './wait.ts';

export const TRANSIT_MOUNT = 'transit';
export const TRANSIT_KEY = 'keyferry';
/** What the source's plugins use, in a lab that has them. */
export const SOURCE_TRANSIT_KEY = 'keyferry-old';

/** Only what a plugin needs: no other key, no rotation, no export. */
const policy = (key: string) => `
path "${TRANSIT_MOUNT}/encrypt/${key}" { capabilities = ["update"] }
path "${TRANSIT_MOUNT}/decrypt/${key}" { capabilities = ["update"] }
path "${TRANSIT_MOUNT}/keys/${key}"    { capabilities = ["read"] }
`;

interface VaultInit {
  readonly unsealKey: string;
  readonly rootToken: string;
}

export function vaultUrl(config: LabConfig): string {
  return `http://127.0.0.1:${vaultConfig(config).port}`;
}

/** Vault with its data on disk, so that it comes back with its keys; ready means unsealed, once it is initialised. */
export function vaultLaunch(config: LabConfig): Launch {
  const paths = labPaths(config.dir);
  return {
    name: 'vault',
    command: binaryOf(config, 'vault'),
    args: ['server', `-config=${paths.vault.config}`, '-log-level=warn'],
    log: paths.log('vault'),
    readyWithinMs: 60_000,
    ready: async () => {
      const client = new HttpClient(vaultUrl(config), { timeoutMs: 5_000 });
      try {
        // 501: not initialised yet, 503: sealed, 429: unsealed and not yet leader.
        const { status } = await client.request('GET', '/v1/sys/health');
        if (status === 200 || status === 501) return true;
        if (status === 503) {
          await client.expect('PUT', '/v1/sys/unseal', { key: readInit(config).unsealKey }, [503]);
        }
        return false;
      } finally {
        client.close();
      }
    },
  };
}

export function writeVaultConfiguration(config: LabConfig): void {
  const { port, clusterPort } = vaultConfig(config);
  const paths = labPaths(config.dir).vault;
  mkdirSync(paths.data, { recursive: true });
  writeByRename(
    paths.config,
    // One voter: without others to wait for, the shortest timeouts make it leader soonest.
    `storage "raft" {
  path                   = ${JSON.stringify(paths.data)}
  node_id                = "lab"
  performance_multiplier = 1
}
listener "tcp" {
  address         = "127.0.0.1:${port}"
  cluster_address = "127.0.0.1:${clusterPort}"
  tls_disable     = true
}
api_addr      = "http://127.0.0.1:${port}"
cluster_addr  = "http://127.0.0.1:${clusterPort}"
disable_mlock = true
ui            = false
`,
  );
}

/** First start only: initialises, unseals, and sets up the transit keys, a plugin's token and an AppRole. */
export async function setUpVault(config: LabConfig): Promise<void> {
  const paths = labPaths(config.dir).vault;
  const anonymous = new HttpClient(vaultUrl(config));
  const init = JSON.parse(
    (await anonymous.expect('PUT', '/v1/sys/init', { secret_shares: 1, secret_threshold: 1 })).text,
  ) as { keys_base64: [string]; root_token: string };
  const remembered: VaultInit = { unsealKey: init.keys_base64[0], rootToken: init.root_token };
  writeByRename(paths.init, JSON.stringify(remembered));
  await anonymous.expect('PUT', '/v1/sys/unseal', { key: remembered.unsealKey });
  await waitFor({ what: 'Vault to be unsealed and leader', timeoutMs: 60_000 }, async () => {
    return (await anonymous.request('GET', '/v1/sys/health')).status === 200;
  });
  anonymous.close();

  const vault = vaultAdmin(config);
  try {
    await vault.expect('POST', `/v1/sys/mounts/${TRANSIT_MOUNT}`, { type: 'transit' });
    const keys = config.sourcePlugins ? [TRANSIT_KEY, SOURCE_TRANSIT_KEY] : [TRANSIT_KEY];
    await makeTransitKeys(vault, keys);
    const token = await vault.expect('POST', '/v1/auth/token/create-orphan', {
      policies: ['keyferry'],
      period: '24h',
      renewable: true,
      display_name: 'keyferry-lab',
    });
    writeByRename(
      paths.token,
      (JSON.parse(token.text) as { auth: { client_token: string } }).auth.client_token,
    );

    await vault.expect('POST', '/v1/sys/auth/approle', { type: 'approle' });
    const role = '/v1/auth/approle/role/keyferry';
    await vault.expect('POST', role, { token_policies: ['keyferry'], token_period: '24h' });
    const roleId = await vault.expect('GET', `${role}/role-id`);
    writeByRename(paths.roleId, (JSON.parse(roleId.text) as { data: { role_id: string } }).data.role_id);
    const secretId = await vault.expect('POST', `${role}/secret-id`, {});
    writeByRename(
      paths.secretId,
      (JSON.parse(secretId.text) as { data: { secret_id: string } }).data.secret_id,
    );
  } finally {
    vault.close();
  }
}

/**
 * Makes those of the keys that aren't there, and lets plugins use these and no others.
 *
 * @param vault - of {@link vaultAdmin}
 */
export async function makeTransitKeys(vault: HttpClient, keys: readonly string[]): Promise<void> {
  for (const key of keys) {
    await vault.expect('POST', `/v1/${TRANSIT_MOUNT}/keys/${key}`, { type: 'aes256-gcm96' });
  }
  await vault.expect('PUT', '/v1/sys/policies/acl/keyferry', { policy: keys.map(policy).join('') });
}

/** A client with the root token, for tests that rotate keys or take permissions away. Close it after use. */
export function vaultAdmin(config: LabConfig): HttpClient {
  return new HttpClient(vaultUrl(config), { headers: { 'x-vault-token': readInit(config).rootToken } });
}

function vaultConfig(config: LabConfig): VaultConfig {
  if (config.vault === undefined) throw notPartOfThisLab('vault');
  return config.vault;
}

function readInit(config: LabConfig): VaultInit {
  return JSON.parse(readFileSync(labPaths(config.dir).vault.init, 'utf8')) as VaultInit;
}
