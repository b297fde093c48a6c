import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { randomInt } from 'node:crypto';
import { KeyferryError } from '../src/errors.ts';

const LOWEST = 20_000;
const TRIES = 200;

/** Handed out by this process and perhaps not listened on yet: parts of a lab start side by side. */
const handedOut = new Set<number>();

/**
 * A loopback port that nobody listens on.
 *
 * Below the kernel's range for outgoing connections: a server that is stopped for a while must find its port free
 * when it comes back, and with hundreds of connections between the servers one would take it in the meantime.
 */
export async function freePort(): Promise<number> {
  const below = Math.max(LOWEST + 1_000, lowestOutgoingPort());
  for (let i = 0; i < TRIES; i++) {
    const port = randomInt(LOWEST, below);
    if (handedOut.has(port) || !(await canListen(port))) continue;
    handedOut.add(port);
    return port;
  }
  throw new KeyferryError('LabNoPort', `No free loopback port found between ${LOWEST} and ${below}.`, {
    remedy: 'Stop servers that are no longer needed (keyferry lab down), then try again.',
  });
}

/** Whether something accepts connections there; a path is a unix socket. */
export function accepts(where: number | string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket =
      typeof where === 'number' ? connect({ host: '127.0.0.1', port: where }) : connect({ path: where });
    socket.setTimeout(1_000);
    const answer = (yes: boolean) => () => {
      socket.destroy();
      resolve(yes);
    };
    socket.once('connect', answer(true)).once('error', answer(false)).once('timeout', answer(false));
  });
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

function lowestOutgoingPort(): number {
  try {
    return Number.parseInt(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'), 10);
  } catch {
    return 32_768;
  }
}
