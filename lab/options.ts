import { type EncryptionContext } from './encryption-configuration.ts';
import { type PluginSettings } from './keyferry-processes.ts';
import { type Say } from './servers.ts';

/** What to put up. Nothing but `dir` is needed: the rest is a control plane of two API servers, Vault and Temporal. */
export interface LabOptions {
  /** A folder that doesn't exist yet, or is empty. */
  readonly dir: string;
  readonly apiServers?: number;
  /** Members of etcd (default 1); three go on without one of them. */
  readonly etcdMembers?: number;
  /** etcd speaks TLS, and asks its clients for a certificate (default false); needs openssl. */
  readonly etcdTls?: boolean;
  /** Take a changed encryption configuration up without a restart (default true). */
  readonly reload?: boolean;
  /** Default 60, as in Kubernetes. */
  readonly requestTimeoutSeconds?: number;
  /** Default 300, as in Kubernetes. */
  readonly etcdCompactionSeconds?: number;
  /** A kube-controller-manager with the storage version migrator, and API servers that serve it (default false). */
  readonly controllerManager?: boolean;
  /** Default true. */
  readonly vault?: boolean;
  /** Default true. */
  readonly temporal?: boolean;
  /** A kms plugin on each node; needs Vault (default false). */
  readonly plugins?: boolean;
  /** Begin with a kms provider instead of an aescbc key: a second plugin on each node, with a key of its own (default false). */
  readonly sourcePlugins?: boolean;
  /** What the plugins' configurations say beyond their key services. */
  readonly pluginSettings?: PluginSettings;
  /** An agent on each node; needs Temporal (default false). */
  readonly agents?: boolean;
  /** Workers; need Temporal (default 0). */
  readonly workers?: number;
  /** The text of a node's first EncryptionConfiguration; by default an aescbc key, then identity. */
  readonly encryptionConfiguration?: (context: EncryptionContext) => string;
  /** Progress, a line at a time. */
  readonly say?: Say;
  /** Aborting takes down what was put up so far. */
  readonly signal?: AbortSignal;
}
