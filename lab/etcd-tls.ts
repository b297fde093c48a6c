import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { KeyferryError } from '../src/errors.ts';
import { type LabConfig } from './config.ts';
import { writeByRename } from './files.ts';
import { type HttpOptions } from './http.ts';
import { labPaths } from './paths.ts';

const run = promisify(execFile);

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
const VALID = ['-days', '7'];
/** Of members and their clients alike: a member's JSON gateway is a client of its own, by the member's certificate. */
const USAGE = 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n';

/** Makes a CA, and one certificate that etcd's members and all their clients show. */
export async function writeEtcdCertificates(config: LabConfig): Promise<void> {
  const { caFile, certFile, keyFile } = labPaths(config.dir).etcd;
  const dir = dirname(caFile);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const caKey = join(dir, 'ca.key');
  const request = join(dir, 'etcd.csr');
  const usage = join(dir, 'usage');
  writeByRename(usage, USAGE);
  await openssl(
    'req',
    '-x509',
    ...NEW_KEY,
    ...VALID,
    '-subj',
    '/CN=lab-etcd-ca',
    '-keyout',
    caKey,
    '-out',
    caFile,
  );
  await openssl('req', ...NEW_KEY, '-subj', '/CN=lab-etcd', '-keyout', keyFile, '-out', request);
  const issuer = ['-CA', caFile, '-CAkey', caKey, '-CAcreateserial', '-extfile', usage];
  await openssl('x509', '-req', '-in', request, ...issuer, ...VALID, '-out', certFile);
}

/** What a client of this lab's etcd needs; nothing where it speaks no TLS. */
export function etcdTls(config: LabConfig): Pick<HttpOptions, 'ca' | 'cert' | 'key'> {
  if (!config.etcd.tls) return {};
  const { caFile, certFile, keyFile } = labPaths(config.dir).etcd;
  return {
    ca: readFileSync(caFile, 'utf8'),
    cert: readFileSync(certFile, 'utf8'),
    key: readFileSync(keyFile, 'utf8'),
  };
}

async function openssl(...args: string[]): Promise<void> {
  try {
    await run('openssl', args, { timeout: 30_000 });
  } catch (cause) {
    throw new KeyferryError('LabOpenssl', `openssl ${args[0] ?? ''} could not make etcd's certificates.`, {
      remedy: 'Install OpenSSL 1.1.1 or newer: a lab whose etcd speaks TLS needs it.',
      cause,
    });
  }
}
