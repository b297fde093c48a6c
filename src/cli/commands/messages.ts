import { userInfo } from 'node:os';
import {
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  type UpdateDefinition,
} from '@temporalio/client';
import { Command } from 'commander';
import { KeyferryError } from '../../errors.ts';
import {
  approveUpdate,
  forwardUpdate,
  pauseUpdate,
  rateUpdate,
  resumeUpdate,
  rollbackUpdate,
  waiveUpdate,
  type Acknowledgement,
} from '../../../workflows/messages.ts';
import { print } from '../output.ts';
import { findMigration, withTemporal } from '../temporal.ts';
import { withTemporalOptions, type TemporalOptions } from '../temporal-options.ts';

type Options = TemporalOptions & { reason?: string; actor: string; json?: boolean };

/**
 * Longer than a worker may take to be found dead and another to replay the workflow: one that is frozen may take
 * several tasks with it, each of which Temporal misses after 10 s.
 */
const ANSWER_MS = 60_000;
/** After which the person who waits is told so. */
const PATIENCE_MS = 8_000;

/** `pause`, `resume`, `approve`, `rollback`, `forward`, `waive` and `rate`: each an update, acknowledged or refused with its reason. */
export function messageCommands(): Command[] {
  return [
    command('pause', 'stop writing: it reads "paused" once every writer has answered', pauseUpdate),
    command('resume', 'go on after a pause, or try again after keyferry stopped', resumeUpdate),
    command(
      'rollback',
      'bring every object back to the source, from whatever phase; of storage versions: end it before anything is trimmed',
      rollbackUpdate,
    ),
    command('forward', 'turn a rollback round: go on towards the target', forwardUpdate),
    approve(),
    waive(),
    rate(),
  ];
}

function command(
  name: string,
  description: string,
  update: UpdateDefinition<Acknowledgement, [unknown]>,
): Command {
  return withMessageOptions(
    new Command(name)
      .description(description)
      .argument('[migration]', 'workflow id; not needed where there is only one'),
  ).action(async (id: string | undefined, options: Options) => await send(id, update, {}, options));
}

function approve(): Command {
  return withMessageOptions(
    new Command('approve')
      .description(
        "open a gate: cutover, or cleanup (the point of no return: the kept file with the source's key goes); of storage versions trim",
      )
      .argument('<gate>', 'cutover, cleanup or trim')
      .argument('[migration]', 'workflow id; not needed where there is only one'),
  ).action(
    async (gate: string, id: string | undefined, options: Options) =>
      await send(id, approveUpdate, { gate }, options),
  );
}

function waive(): Command {
  return withMessageOptions(
    new Command('waive')
      .description(
        'leave behind an object that no API server can read, named as "keyferry status" names it: the next verification asks them all, and takes no waiver of what one of them reads',
      )
      .argument('<object>', 'secrets/<namespace>/<name>, or <resource>/<name> where there is no namespace')
      .argument('[migration]', 'workflow id; not needed where there is only one'),
  ).action(
    async (object: string, id: string | undefined, options: Options) =>
      await send(id, waiveUpdate, { object }, options),
  );
}

function rate(): Command {
  return withMessageOptions(
    new Command('rate')
      .description(
        'how many objects may be rewritten in a second at most, from now on; what the cluster does not bear stays slower all the same',
      )
      .argument('<objects-per-second>', '0: no limit of its own')
      .argument('[migration]', 'workflow id; not needed where there is only one'),
  ).action(
    async (objectsPerSecond: string, id: string | undefined, options: Options) =>
      // What isn't a number is refused by the migration, with what it takes.
      await send(id, rateUpdate, { objectsPerSecond: Number(objectsPerSecond.trim() || NaN) }, options),
  );
}

function withMessageOptions(command: Command): Command {
  return withTemporalOptions(
    command
      .option('--reason <text>', 'why; goes on the timeline')
      .option('--actor <name>', 'who; goes on the timeline', userInfo().username)
      .option('--json', 'answer as JSON'),
  );
}

async function send(
  id: string | undefined,
  update: UpdateDefinition<Acknowledgement, [unknown]>,
  fields: object,
  options: Options,
): Promise<void> {
  await withTemporal(options, async (client) => {
    const handle = await findMigration(client, id);
    const message = {
      ...fields,
      actor: options.actor,
      ...(options.reason === undefined ? {} : { reason: options.reason }),
    };
    const impatient = setTimeout(() => {
      if (options.json === true) return;
      process.stderr.write(
        `${update.name}: no worker has answered yet; Temporal asks the next one. Waiting up to ${ANSWER_MS / 1000} s.\n`,
      );
    }, PATIENCE_MS);
    try {
      const answer = await client.connection.withDeadline(Date.now() + ANSWER_MS, () =>
        handle.executeUpdate(update, { args: [message] }),
      );
      print(
        options.json ?? false,
        answer,
        () => `${update.name}: taken. Phase ${answer.phase}; ${answer.waitingFor}.`,
      );
    } catch (error) {
      if (error instanceof WorkflowUpdateFailedError) {
        throw new KeyferryError(
          'Refused',
          `${update.name} was refused: ${error.cause?.message ?? error.message}`,
          {
            remedy: 'see where the migration stands with "keyferry status"',
          },
        );
      }
      if (error instanceof WorkflowNotFoundError) {
        throw new KeyferryError('Refused', `${update.name} was refused: the migration has ended`, {
          remedy: 'see how it ended: keyferry report',
        });
      }
      if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) throw unanswered(update.name, error);
      throw error;
    } finally {
      clearTimeout(impatient);
    }
  });
}

function unanswered(name: string, error: unknown): KeyferryError {
  return new KeyferryError(
    'UnavailableMigration',
    `${name} was not acknowledged within ${ANSWER_MS / 1000} s`,
    {
      remedy:
        'no worker may be polling (start one: keyferry worker); an update that was sent may still be taken',
      retryable: true,
      cause: error,
    },
  );
}
