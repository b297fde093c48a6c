export { arrange, arrangementOf } from './arrange.ts';
export { formatProviderRef, providersFor, sameProvider, writerOf } from './chain.ts';
export { diffArrangements } from './diff.ts';
export { chainFor, refuseKmsV1Writer, type KmsConnector } from './envelope-chain.ts';
export {
  dropOriginal,
  isMountPoint,
  keepOriginal,
  originalPath,
  readConfigurationFile,
  readOriginal,
  replaceConfigurationFile,
  type ConfigurationFile,
} from './file.ts';
export { parseGoDuration } from './go-syntax.ts';
export { hashOf, normalizedHash } from './hash.ts';
export {
  InvalidEncryptionConfigurationError,
  parseEncryptionConfiguration,
  validateEncryptionConfiguration,
  type ValidationOptions,
} from './parse.ts';
export { redactEncryptionConfiguration } from './redact.ts';
export { checkRotation } from './rotation.ts';
export { withSecret } from './secret-file.ts';
export {
  arrangements,
  type Arrangement,
  type ArrangementEdit,
  type ConfigurationEntry,
  type EncryptionConfiguration,
  type LocalProviderType,
  type Problem,
  type ProviderEntry,
  type ProviderRef,
  type ProviderReference,
  type ProviderSummary,
} from './types.ts';
