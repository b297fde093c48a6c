import { defineSearchAttributeKey } from '@temporalio/common';

// What makes a fleet of migrations listable: temporal workflow list --query "KeyferryPhase = 'soak'".
export const KEYFERRY_PHASE = defineSearchAttributeKey('KeyferryPhase', 'KEYWORD');
export const KEYFERRY_CLUSTER = defineSearchAttributeKey('KeyferryCluster', 'KEYWORD');
