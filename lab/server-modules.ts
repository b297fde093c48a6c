import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KeyferryError } from '../src/errors.ts';
import { packageRoot } from './paths.ts';

export type ServerName =
  | 'age'
  | 'etcd'
  | 'kube-apiserver'
  | 'kube-controller-manager'
  | 'kubectl'
  | 'temporal'
  | 'vault'
  | 'vault-plugin-auth-kubernetes';

/** How one server is told, found and built. Its version is the one that `lab/servers/<module>/go.mod` pins. */
export interface ServerModule {
  readonly name: ServerName;
  /** Folder below `lab/servers`. */
  readonly module: string;
  /** The Go module in go.mod that has the version. */
  readonly versionOf: string;
  /** The Go package that is built. */
  readonly main: string;
  readonly tags?: string;
  /** Linker flags besides those that leave symbols out. */
  ldflags(version: string): string;
  /** Environment variable that names a binary. */
  readonly env: string;
  /** Absent for what doesn't tell its version: it is taken from the environment variable as it is, and never from PATH. */
  readonly versionArgs?: readonly string[];
  /** The oldest version that a lab can use, and why. */
  readonly minimum: readonly [number, number];
  readonly minimumWhy: string;
  readonly why: string;
  /** Time of a build on two cores with an empty cache. */
  readonly takes: string;
  /** Part of envtest's assets (KUBEBUILDER_ASSETS). */
  readonly inKubebuilderAssets: boolean;
}

const plain = () => '';
/** Without it the server reports v0.0.0, and feature defaults follow the reported version. */
const gitVersion = (version: string) => `-X k8s.io/component-base/version.gitVersion=v${version}`;

export const serverModules: Readonly<Record<ServerName, ServerModule>> = {
  // No server, but a program of others all the same that keyferry is tried with.
  age: {
    name: 'age',
    module: 'age',
    versionOf: 'filippo.io/age',
    main: 'filippo.io/age/cmd/age',
    ldflags: (version) => `-X main.Version=v${version}`,
    env: 'KEYFERRY_AGE',
    versionArgs: ['--version'],
    minimum: [1, 0],
    minimumWhy: 'the file format is stable since',
    why: 'what keyferry seals to an offline recipient has to open with it',
    takes: 'some seconds',
    inKubebuilderAssets: false,
  },
  etcd: {
    name: 'etcd',
    module: 'etcd',
    versionOf: 'go.etcd.io/etcd/server/v3',
    main: 'go.etcd.io/etcd/server/v3',
    ldflags: plain,
    env: 'KEYFERRY_ETCD',
    versionArgs: ['--version'],
    minimum: [3, 5],
    minimumWhy: 'its /readyz came with later 3.5 releases',
    why: 'the API servers keep their objects in it',
    takes: 'half a minute to a minute',
    inKubebuilderAssets: true,
  },
  'kube-apiserver': {
    name: 'kube-apiserver',
    module: 'kubernetes',
    versionOf: 'k8s.io/kubernetes',
    main: 'k8s.io/kubernetes/cmd/kube-apiserver',
    ldflags: gitVersion,
    env: 'KEYFERRY_KUBE_APISERVER',
    versionArgs: ['--version'],
    minimum: [1, 34],
    minimumWhy: 'the metric with the hash of the loaded encryption configuration came with 1.34',
    why: 'keyferry is tried out on a real API server',
    takes: 'three to four minutes',
    inKubebuilderAssets: true,
  },
  // What people rewrite objects with; only a benchmark compares with it.
  kubectl: {
    name: 'kubectl',
    module: 'kubernetes',
    versionOf: 'k8s.io/kubernetes',
    main: 'k8s.io/kubernetes/cmd/kubectl',
    ldflags: (version) => `-X k8s.io/component-base/version.gitVersion=v${version}`,
    env: 'KEYFERRY_KUBECTL',
    versionArgs: ['version', '--client'],
    minimum: [1, 30],
    minimumWhy: 'older ones were not tried',
    why: 'rewriting by hand is measured with it',
    takes: 'a minute',
    inKubebuilderAssets: true,
  },
  'kube-controller-manager': {
    name: 'kube-controller-manager',
    module: 'kubernetes',
    versionOf: 'k8s.io/kubernetes',
    main: 'k8s.io/kubernetes/cmd/kube-controller-manager',
    ldflags: (version) => `-X k8s.io/component-base/version.gitVersion=v${version}`,
    env: 'KEYFERRY_KUBE_CONTROLLER_MANAGER',
    versionArgs: ['--version'],
    minimum: [1, 35],
    minimumWhy: 'its storage version migrator asks for v1beta1, which came with 1.35',
    why: "keyferry hands work to the cluster's own storage version migrator, and is compared with it",
    takes: 'one to two minutes after kube-apiserver',
    inKubebuilderAssets: false,
  },
  temporal: {
    name: 'temporal',
    module: 'temporal',
    versionOf: 'github.com/temporalio/cli',
    main: 'github.com/temporalio/cli/cmd/temporal',
    ldflags: plain,
    env: 'KEYFERRY_TEMPORAL',
    versionArgs: ['--version'],
    minimum: [1, 5],
    minimumWhy: 'older dev servers lack what keyferry uses of workflow updates',
    why: 'migrations run as Temporal workflows',
    takes: 'two to three minutes',
    inKubebuilderAssets: false,
  },
  vault: {
    name: 'vault',
    module: 'vault',
    versionOf: 'github.com/hashicorp/vault',
    main: 'github.com/hashicorp/vault',
    tags: 'minimal',
    ldflags: plain,
    env: 'KEYFERRY_VAULT',
    versionArgs: ['version'],
    minimum: [1, 15],
    minimumWhy: 'older ones were not tried',
    why: 'its transit engine holds the key that objects are moved to',
    takes: 'two to five minutes',
    inKubebuilderAssets: false,
  },
  'vault-plugin-auth-kubernetes': {
    name: 'vault-plugin-auth-kubernetes',
    module: 'vault-kubernetes-auth',
    versionOf: 'github.com/hashicorp/vault-plugin-auth-kubernetes',
    main: 'github.com/hashicorp/vault-plugin-auth-kubernetes/cmd/vault-plugin-auth-kubernetes',
    ldflags: plain,
    env: 'KEYFERRY_VAULT_PLUGIN_AUTH_KUBERNETES',
    minimum: [0, 23],
    minimumWhy: 'older ones were not tried',
    why: 'a Vault of the minimal kind has no Kubernetes auth method built in',
    takes: 'one to two minutes',
    inKubebuilderAssets: false,
  },
};

/** The minor version before the one that labs run: for tests in which API servers are upgraded and downgraded. */
export const previousApiServer: ServerModule = {
  name: 'kube-apiserver',
  module: 'kubernetes-previous',
  versionOf: 'k8s.io/kubernetes',
  main: 'k8s.io/kubernetes/cmd/kube-apiserver',
  ldflags: gitVersion,
  env: 'KEYFERRY_KUBE_APISERVER_PREVIOUS',
  // One of PATH may be of any version.
  minimum: [1, 34],
  minimumWhy: serverModules['kube-apiserver'].minimumWhy,
  why: 'a migration is tried over API servers of two versions',
  takes: 'three to four minutes',
  inKubebuilderAssets: false,
};

export function moduleDir(server: ServerModule): string {
  return join(packageRoot(), 'lab/servers', server.module);
}

/** The version that go.mod pins, without its "v". */
export function pinnedVersion(server: ServerModule): string {
  const file = join(moduleDir(server), 'go.mod');
  const escaped = server.versionOf.replaceAll('.', '\\.');
  const version = new RegExp(`^(?:require)?\\s*${escaped} v(\\S+)`, 'm').exec(
    readFileSync(file, 'utf8'),
  )?.[1];
  if (version === undefined) {
    throw new KeyferryError('FileInvalid', `${file} pins no version of ${server.versionOf}.`, {
      remedy: 'Restore the file.',
    });
  }
  return version;
}

/** Whether what a server says about its version is recent enough; false when no version can be told. */
export function versionFits(server: ServerModule, output: string): boolean {
  const found = /\bv?(\d+)\.(\d+)\.\d+/.exec(output);
  if (found === null) return false;
  const [major, minor] = [Number(found[1]), Number(found[2])];
  return major > server.minimum[0] || (major === server.minimum[0] && minor >= server.minimum[1]);
}
