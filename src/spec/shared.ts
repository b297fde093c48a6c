/** What the documents of keyferry have in common. */
import { z } from 'zod';

/** A duration as Kubernetes writes the simple ones: `500ms`, `30s`, `5m`, `12h`, `7d`. */
export const duration = z
  .string()
  .regex(/^[0-9]+(ms|s|m|h|d)$/, 'must be a number with a unit: 500ms, 30s, 5m, 12h or 7d');

export const name = z
  .string()
  .regex(
    /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/,
    'must be a lower-case name of letters, digits and "-", 63 characters at most',
  );

/** A file on the machine that reads it (a worker's for clients, the node's for an agent's). Never the content. */
const fileReference = z.strictObject({ file: z.string().min(1) });

const apiServer = z.strictObject({
  name: name.describe('What the API server is called in reports; by default also the name of its node.'),
  server: z
    .url({ protocol: /^https$/, error: 'must be an https:// address of this one API server' })
    .describe('Its own address: never that of a load balancer.'),
  node: name
    .optional()
    .describe("The node whose agent looks after this API server's file; the name by default."),
  tlsServerName: z.string().min(1).optional().describe('The name its serving certificate is issued for.'),
  certificateAuthority: fileReference.optional().describe("Instead of the kubeconfig's CA."),
});

/** What a migration keeps of each, and does with each, stays within what Temporal takes. */
export const MAX_API_SERVERS = 32;
export const MAX_RESOURCES = 100;

const etcd = z.strictObject({
  endpoints: z.array(z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// address' })).min(1),
  prefix: z
    .string()
    .regex(/^\/.*[^/]$/, 'must start with "/" and not end with it')
    .default('/registry')
    .describe("The API servers' --etcd-prefix."),
  tls: z
    .strictObject({ caFile: z.string().min(1), certFile: z.string().min(1), keyFile: z.string().min(1) })
    .optional()
    .describe('Files on the machine of each worker, and of the engine Etcd on each node.'),
  defragment: z
    .enum(['Never', 'WhenFull'])
    .default('Never')
    .describe(
      'WhenFull: where the file of a member nearly reaches its quota, keyferry defragments one member after another.',
    ),
});

/** What clients of a cluster need. */
export const clusterBase = z.strictObject({
  name: name.describe('Names the task queues of the agents: keyferry-node.<cluster>.<node>.'),
  kubeconfig: z
    .strictObject({ file: z.string().min(1), context: z.string().min(1).optional() })
    .describe(
      'Read by the CLI and by the workers, and of the engine Etcd by the agents; each on its own machine.',
    ),
  apiServers: z
    .array(apiServer)
    .min(1)
    .max(MAX_API_SERVERS)
    .check((ctx) => {
      for (const field of ['name', 'server'] as const) {
        ctx.value.forEach((one, i) => {
          if (ctx.value.findIndex((other) => other[field] === one[field]) === i) return;
          ctx.issues.push({
            code: 'custom',
            input: one[field],
            path: [i, field],
            message: `is listed twice; each API server stands here once, by its own address`,
          });
        });
      }
    }),
  etcd,
  requestTimeout: duration.default('60s').describe("The API servers' --request-timeout."),
});

export const encryptionConfiguration = z.strictObject({
  file: z
    .string()
    .startsWith('/', 'must be an absolute path on the nodes')
    .describe("The API servers' --encryption-provider-config; {node} stands for the node's name."),
  takeUp: z
    .enum(['Reload', 'Restart'])
    .default('Reload')
    .describe('How API servers take up a changed file: by themselves, or restarted one after another.'),
});

const timeOfDay = z
  .string()
  .regex(/^([01][0-9]|2[0-3]):[0-5][0-9]$/, 'must be a time of day between "00:00" and "23:59", in quotes');

const scheduleWindow = z
  .strictObject({
    from: timeOfDay,
    to: timeOfDay.describe('Before `from`, it is a time of the next day.'),
    timeZone: z
      .string()
      .refine(isTimeZone, 'must be a name of the IANA time zone database, such as Europe/Berlin, or UTC')
      .default('UTC'),
  })
  .refine(
    ({ from, to }) => from !== to,
    'must not end when it begins; leave the schedule out to rewrite at any time',
  );

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

export const resources = z
  .array(
    z
      .string()
      .regex(
        /^[a-z0-9]+(\.[a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$/,
        'must be <resource> or <resource>.<group>, lower case and plural, as in an EncryptionConfiguration',
      ),
  )
  .min(1)
  .max(MAX_RESOURCES)
  .refine((all) => new Set(all).size === all.length, 'lists a resource twice');

export const pace = z
  .strictObject({
    objectsPerSecond: z.int().min(0).default(0).describe('0: as fast as the API servers answer.'),
    concurrency: z.int().min(1).max(256).default(16).describe('Requests under way at once, over all shards.'),
    shards: z.int().min(1).max(128).default(8).describe('Shards walked at once.'),
    schedule: z
      .array(scheduleWindow)
      .min(1)
      .max(20)
      .optional()
      .describe(
        'When objects may be rewritten, each day; outside of it rewriting pauses. Absent: at any time.',
      ),
  })
  .prefault({});

/** For an engine that nothing stops: no time of the day can be kept. */
export function refuseSchedule(ctx: z.core.ParsePayload<{ engine: string; pace: PaceSpec }>): void {
  const { engine, pace: given } = ctx.value;
  if (engine !== 'StorageVersionMigration' || given.schedule === undefined) return;
  ctx.issues.push({
    code: 'custom',
    input: given.schedule,
    path: ['pace', 'schedule'],
    message: "can't be kept by the engine StorageVersionMigration, which nothing stops; take APIServer",
  });
}

/** @param reads - what is read where a document doesn't say */
export const verifyBy = (reads: 'Sample' | 'All') =>
  z
    .strictObject({
      reads: z.enum(['Sample', 'All']).default(reads),
      sampleSize: z.int().min(0).max(5_000).default(200).describe('Objects read through each API server.'),
    })
    .prefault({});

export type ClusterSpec = z.output<typeof clusterBase>;
export type PaceSpec = z.output<typeof pace>;
export type VerifySpec = z.output<ReturnType<typeof verifyBy>>;
