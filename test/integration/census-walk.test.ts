import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { ApplicationFailure } from '@temporalio/common';
import { WorkflowFailedError } from '@temporalio/client';
import { TASK_QUEUE } from '../../lab/config.ts';
import { emptyTally } from '../../src/plan/tally.ts';
import { type CensusChunkInput, type CensusChunkResult, type CensusInput } from '../../workflows/types.ts';
import { CleanUp } from '../support/clean-up.ts';
import { historyLengths, MOST_EVENTS } from '../support/history.ts';
import { TemporalAlone } from '../support/temporal-alone.ts';

jest.setTimeout(180_000);

const workflows = fileURLToPath(new URL('../support/workflows/census-parent.ts', import.meta.url));

function input(...names: string[]): CensusInput {
  return {
    cluster: {} as CensusInput['cluster'],
    resources: names.map((name) => ({
      name,
      apiPath: '/api/v1',
      apiVersion: 'v1',
      kind: 'Kind',
      plural: name,
      namespaced: true,
      etcdPrefix: `/registry/${name}/`,
    })),
    target: { type: 'identity' },
    names: [],
  };
}

describe('a census', () => {
  const cleanUp = new CleanUp();
  let temporal: TemporalAlone;

  beforeAll(async () => {
    temporal = cleanUp.keep(await TemporalAlone.up(), (up) => up.down());
  });

  afterAll(() => cleanUp.run());

  /** Takes a census whose chunks are what a script says. */
  async function take(
    id: string,
    given: CensusInput,
    censusChunk: (asked: CensusChunkInput) => Promise<CensusChunkResult>,
  ): Promise<unknown> {
    return await temporal.withWorker(workflows, { censusChunk }, () =>
      temporal.client.workflow.execute('censusParent', {
        workflowId: id,
        taskQueue: TASK_QUEUE,
        args: [given],
      }),
    );
  }

  test('keeps what it counted over any number of failures, and says once what it waits for', async () => {
    const asked: string[] = [];
    let failures = 7;
    const answer = await take('parent', input('secrets', 'configmaps'), ({ resource, cursor }) => {
      asked.push(`${resource.name} ${cursor ?? 'from its begin'}`);
      if (cursor === 'second' && failures > 0) {
        failures -= 1;
        const key = `/registry/secrets/default/s${failures}`;
        return Promise.reject(
          ApplicationFailure.create({ message: `${key}: no answer after ${failures} s` }),
        );
      }
      const tally = { ...emptyTally(), objects: 10, revision: 5 };
      return Promise.resolve(cursor === undefined ? { tally, cursor: 'second' } : { tally });
    });
    expect(answer).toMatchObject({
      tally: { objects: 40 },
      reports: [{ objects: 10, waitingFor: 'an object no answer after some time' }, { objects: 20 }],
    });
    expect(asked.filter((one) => one === 'secrets from its begin')).toHaveLength(1);
    expect(asked.filter((one) => one === 'configmaps second')).toHaveLength(1);
  });

  test('of any size has bounded histories, its own and that of its parent', async () => {
    let left = 250;
    const answer = await take('long', input('secrets'), () => {
      left -= 1;
      return Promise.resolve({
        tally: { ...emptyTally(), objects: 1 },
        ...(left === 0 ? {} : { cursor: `at-${left}` }),
      });
    });
    expect(answer).toMatchObject({ tally: { objects: 250 }, reports: [] });
    const runs = await historyLengths(temporal.client, 'parent/census');
    expect(runs.length).toBeGreaterThan(2);
    expect(runs[0]?.events).toBeLessThan(MOST_EVENTS);
  });

  test('ends with what can not succeed by itself', async () => {
    const refused = take('refused', input('secrets'), () =>
      Promise.reject(ApplicationFailure.nonRetryable('etcd refuses the certificate')),
    );
    await expect(refused).rejects.toThrow(WorkflowFailedError);
  });
});
