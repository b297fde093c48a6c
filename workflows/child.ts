import { ChildWorkflowCancellationType, ParentClosePolicy } from '@temporalio/workflow';

/** Of every child: whoever cancels it waits until all that it had under way has answered, and none outlives its parent. */
export const CHILD = {
  cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
  parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
} as const;
