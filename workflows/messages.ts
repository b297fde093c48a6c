import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { PlanView } from '../src/plan/outline.ts';
import type { Progress } from '../src/plan/progress.ts';
import type { TimelineEntry } from './types.ts';

/** What an update answers: that it was taken, and where that leaves the migration. */
export interface Acknowledgement {
  phase: string;
  waitingFor: string;
}

// Updates and signals share their names: updates are acknowledged, signals are what the Temporal UI and CLI send.
// Their input is unknown until it is parsed: whatever somebody types must do no harm.
export const pauseUpdate = defineUpdate<Acknowledgement, [unknown]>('pause');
export const resumeUpdate = defineUpdate<Acknowledgement, [unknown]>('resume');
export const approveUpdate = defineUpdate<Acknowledgement, [unknown]>('approve');
export const rollbackUpdate = defineUpdate<Acknowledgement, [unknown]>('rollback');
export const forwardUpdate = defineUpdate<Acknowledgement, [unknown]>('forward');
export const waiveUpdate = defineUpdate<Acknowledgement, [unknown]>('waive');
export const rateUpdate = defineUpdate<Acknowledgement, [unknown]>('rate');

export const pauseSignal = defineSignal<[unknown]>('pause');
export const resumeSignal = defineSignal<[unknown]>('resume');
export const approveSignal = defineSignal<[unknown]>('approve');
export const rollbackSignal = defineSignal<[unknown]>('rollback');
export const forwardSignal = defineSignal<[unknown]>('forward');
export const waiveSignal = defineSignal<[unknown]>('waive');
export const rateSignal = defineSignal<[unknown]>('rate');

/** From a shard to its migration. */
export const shardReportSignal = defineSignal<[unknown]>('shardReport');

/** From a migration to a shard: objects per second, its share of what a person asked for. */
export const shardRateSignal = defineSignal<[unknown]>('shardRate');

/** From a census or its reads to their migration: what they wait for, or that they don't any more. */
export const censusReportSignal = defineSignal<[unknown]>('censusReport');

export const progressQuery = defineQuery<Progress>('progress');
export const planQuery = defineQuery<PlanView>('plan');
export const timelineQuery = defineQuery<TimelineEntry[]>('timeline');
