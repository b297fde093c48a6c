/** The source's kms provider, in a lab that begins with one. */
export const SOURCE_KMS = 'old-vault';

/** What an initial EncryptionConfiguration may be made of, for one node. */
export interface EncryptionContext {
  readonly node: string;
  /** 32 random bytes in base64, the same for all nodes of the lab. */
  readonly aescbcKey: string;
  /** The socket of this node's plugin, as `unix://…`. */
  readonly endpoint: string;
  /** That of the source's plugin, in a lab that has one. */
  readonly sourceEndpoint: string;
}

/** Where a migration begins: a key in the file, as most clusters have it. Comments are there to survive edits. */
export function initialEncryptionConfiguration({ node, aescbcKey }: EncryptionContext): string {
  return `# Encryption at rest of ${node}. Comments in this file are kept by keyferry.
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets, configmaps]
    providers:
      # The first provider writes; the others only read.
      - aescbc:
          keys:
            - name: key1
              secret: ${aescbcKey}
      # Reads what was stored before encryption was turned on.
      - identity: {}
`;
}

/** Where a migration between two key services begins. */
export function initialKmsConfiguration({ node, sourceEndpoint }: EncryptionContext): string {
  return `# Encryption at rest of ${node}. Comments in this file are kept by keyferry.
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets, configmaps]
    providers:
      - kms:
          apiVersion: v2
          name: ${SOURCE_KMS}
          endpoint: ${sourceEndpoint}
          timeout: 3s
      - identity: {}
`;
}
