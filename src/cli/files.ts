import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { KeyferryError, messageOf } from '../errors.ts';
import { parseAny, parseMigration, type AnyDocument } from '../spec/load.ts';
import type { Migration } from '../spec/migration.ts';

/**
 * Reads a Migration from a file, or from standard input for `-`.
 *
 * Paths of the kubeconfig and of certificates are made absolute, seen from the file: workers read them too, from
 * wherever they run.
 */
export function readMigration(file: string): Migration {
  return read(file, parseMigration);
}

/** As {@link readMigration}, of a document of any kind. */
export function readDocument(file: string): AnyDocument {
  return read(file, parseAny);
}

function read<T extends AnyDocument>(file: string, parse: (text: string, shown: string) => T): T {
  const document = parse(readText(file), file === '-' ? 'standard input' : file);
  const from = file === '-' ? process.cwd() : dirname(resolve(file));
  const { cluster } = document.spec;
  cluster.kubeconfig.file = resolve(from, cluster.kubeconfig.file);
  for (const server of cluster.apiServers) {
    if (server.certificateAuthority !== undefined) {
      server.certificateAuthority.file = resolve(from, server.certificateAuthority.file);
    }
  }
  if (cluster.etcd.tls !== undefined) {
    for (const field of ['caFile', 'certFile', 'keyFile'] as const) {
      cluster.etcd.tls[field] = resolve(from, cluster.etcd.tls[field]);
    }
  }
  return document;
}

function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new KeyferryError('FileUnreadable', `${file} can't be read: ${messageOf(error)}`, {
      remedy: 'give the path of a Migration document, or - for standard input',
    });
  }
}
