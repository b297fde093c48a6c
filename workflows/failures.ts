import {
  ActivityFailure,
  ApplicationFailure,
  ChildWorkflowFailure,
  TemporalFailure,
  TimeoutFailure,
} from '@temporalio/workflow';
import { clipped, withRemedy } from '../src/plan/words.ts';

/** Why a step did not succeed, in words for whoever waits. */
export interface Trouble {
  message: string;
  /** Absent where trying again is all there is to do. */
  remedy?: string;
  retryable: boolean;
  /** The code of keyferry's error, where it was one. */
  code?: string;
}

/** What is told of a trouble that will be tried again: what it is, and what can be done. */
export function wordsOf({ message, remedy }: Trouble): string {
  return remedy === undefined ? message : withRemedy(message, remedy);
}

/** Reads the failure of an activity or of a child; anything else is a defect of the workflow and is thrown on. */
export function troubleOf(error: unknown): Trouble {
  if (error instanceof ChildWorkflowFailure) return troubleOf(error.cause);
  if (error instanceof ApplicationFailure) return application(error);
  // A child that was terminated, or that is still ending: no reason for a migration to end half-way.
  if (error instanceof TemporalFailure && !(error instanceof ActivityFailure)) {
    return { message: clipped(error.message), retryable: true };
  }
  if (!(error instanceof ActivityFailure)) throw error;
  const { cause } = error;
  if (cause instanceof ApplicationFailure) return application(cause);
  if (cause instanceof TimeoutFailure)
    return { message: `"${error.activityType}" did not answer in time`, retryable: true };
  return {
    message: clipped(`${error.activityType}: ${cause?.message ?? error.message}`),
    retryable: true,
  };
}

function application(failure: ApplicationFailure): Trouble {
  const remedy: unknown = failure.details?.[0];
  return {
    message: clipped(failure.message),
    ...(typeof remedy === 'string' ? { remedy: clipped(remedy) } : {}),
    ...(typeof failure.type === 'string' ? { code: failure.type } : {}),
    retryable: failure.nonRetryable !== true,
  };
}

/**
 * Says of an agent's activity that nobody took it up: Temporal's failure doesn't name the queue it lay in.
 *
 * @throws ApplicationFailure `AbsentAgent`, retryable; anything else as it came
 */
export function absentAgent(error: unknown, clusterName: string, node: string): never {
  const unclaimed =
    error instanceof ActivityFailure &&
    error.cause instanceof TimeoutFailure &&
    error.cause.timeoutType === 'SCHEDULE_TO_START';
  if (!unclaimed) throw error;
  throw ApplicationFailure.create({
    type: 'AbsentAgent',
    message: `no agent on ${node} takes up "${error.activityType}"`,
    details: [`start it there: keyferry agent --cluster ${clusterName} --node ${node}`],
    cause: error,
  });
}
