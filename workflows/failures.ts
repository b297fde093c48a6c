import {
  ActivityFailure,
  ApplicationFailure,
  ChildWorkflowFailure,
  TemporalFailure,
  TimeoutFailure,
} from '@temporalio/workflow';

/** Why a step did not succeed, in words for whoever waits. */
export interface Trouble {
  message: string;
  /** Absent where trying again is all there is to do. */
  remedy?: string;
  retryable: boolean;
  /** The code of keyferry's error, where it was one. */
  code?: string;
}

/** Reads the failure of an activity or of a child; anything else is a defect of the workflow and is thrown on. */
export function troubleOf(error: unknown): Trouble {
  if (error instanceof ChildWorkflowFailure) return troubleOf(error.cause);
  if (error instanceof ApplicationFailure) return application(error);
  // A child that was terminated, or that is still ending: no reason for a migration to end half-way.
  if (error instanceof TemporalFailure && !(error instanceof ActivityFailure)) {
    return { message: error.message, retryable: true };
  }
  if (!(error instanceof ActivityFailure)) throw error;
  const { cause } = error;
  if (cause instanceof ApplicationFailure) return application(cause);
  if (cause instanceof TimeoutFailure) return timeout(cause, error);
  return { message: `${error.activityType}: ${cause?.message ?? error.message}`, retryable: true };
}

function application(failure: ApplicationFailure): Trouble {
  const remedy: unknown = failure.details?.[0];
  return {
    message: failure.message,
    ...(typeof remedy === 'string' ? { remedy } : {}),
    ...(typeof failure.type === 'string' ? { code: failure.type } : {}),
    retryable: failure.nonRetryable !== true,
  };
}

function timeout(failure: TimeoutFailure, activity: ActivityFailure): Trouble {
  if (failure.timeoutType === 'SCHEDULE_TO_START') {
    return {
      message: `no agent takes up "${activity.activityType}"`,
      remedy: 'start it: keyferry agent',
      retryable: true,
    };
  }
  return { message: `"${activity.activityType}" did not answer in time`, retryable: true };
}
