import type { Kind } from '../spec/load.ts';

/** The workflow that carries out a document, by its kind. */
export const workflowOf: Readonly<Record<Kind, string>> = {
  Migration: 'migration',
  StorageVersionMigration: 'storageVersionMigration',
};

/** The workflow that runs its checks alone. */
export const preflightOf: Readonly<Record<Kind, string>> = {
  Migration: 'preflight',
  StorageVersionMigration: 'storageVersionPreflight',
};
