import { pino, type Logger } from 'pino';

export type { Logger };

/**
 * A structured logger (JSON lines on standard error; standard output belongs to a command's answer).
 *
 * Nothing that may hold key material is ever passed to it; the redaction below is the second net, not the first.
 *
 * @param component - e.g. `worker`, `agent`, `plugin`; a field of each line
 */
export function createLogger(component: string, level = process.env['KEYFERRY_LOG_LEVEL'] ?? 'info'): Logger {
  return pino(
    {
      base: { component, pid: process.pid },
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: ['plaintext', 'secret', 'token', 'data', '*.plaintext', '*.secret', '*.token', '*.data'],
        censor: '[redacted]',
      },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}
