import { KeyferryError } from '../errors.ts';

/** The longest path of a unix socket on Linux, in bytes (`sun_path` less its NUL). Longer ones are cut, or refused. */
export const maxSocketPathBytes = 107;

/**
 * The socket's path in an endpoint as an EncryptionConfiguration has it (`unix:///run/kms/vault.sock`).
 *
 * @throws KeyferryError `PluginEndpointInvalid`
 */
export function socketPathOf(endpoint: string): string {
  const path = /^unix:\/\/(\/[^?#]*)$/.exec(endpoint)?.[1];
  if (path === undefined || path === '/') {
    throw invalid(endpoint, 'it is not of the form unix:///absolute/path');
  }
  if (path.startsWith('/@')) {
    throw invalid(
      endpoint,
      'sockets in the abstract namespace have no file permissions, and keyferry does not use them',
    );
  }
  if (Buffer.byteLength(path) > maxSocketPathBytes) {
    throw invalid(endpoint, `its path is longer than ${maxSocketPathBytes} bytes`);
  }
  return path;
}

function invalid(endpoint: string, why: string): KeyferryError {
  return new KeyferryError(
    'PluginEndpointInvalid',
    `the KMS plugin endpoint ${JSON.stringify(endpoint)} can't be used: ${why}`,
    {
      remedy: "give the path of the plugin's socket, as in unix:///run/keyferry/vault.sock",
    },
  );
}
