import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { AwsKmsMock, describedKey, type MockAnswer } from './aws-kms-mock.test-helper.ts';
import type { AwsKmsKeyService } from './aws-kms.ts';
import { letAMinutePass } from './key-service.contract.test-helper.ts';

const alias = 'alias/keyferry';
const [a, b] = ['a', 'b'].map(
  (digit) => `arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-${digit.repeat(12)}`,
) as [string, string];
const [oldMaterial, newMaterial] = ['0a'.repeat(32), '0b'.repeat(32)];

let aws: AwsKmsMock;
let keys: AwsKmsKeyService;
/** Where the alias leads, and since when, in Unix seconds. */
let leads: { to: string; since: number };
let material: string;
let state: string;

beforeEach(async () => {
  aws = await AwsKmsMock.start();
  [leads, material, state] = [{ to: a, since: 1_700_000_000 }, oldMaterial, 'Enabled'];
  aws.answer = (action, body): MockAnswer => {
    if (action === 'DescribeKey') return describedKey(leads.to, material, state);
    const { KeyId: key } = JSON.parse(body) as { KeyId: string };
    const listed = { AliasName: alias, TargetKeyId: key.split('/').at(-1), LastUpdatedDate: leads.since };
    return { body: { Aliases: key === leads.to ? [listed] : [] } };
  };
  keys = aws.service(alias);
  await keys.current();
  aws.asked.length = 0;
});

afterEach(async () => {
  jest.restoreAllMocks();
  await aws.stop();
});

/** The key ids of the next minutes, in each of which it is asked for some times. */
async function idsOf(minutes: number): Promise<string[]> {
  const ids: string[] = [];
  for (let minute = 0; minute < minutes; minute++) {
    letAMinutePass();
    const asked = await Promise.all(Array.from({ length: 5 }, () => keys.current()));
    expect(new Set([...asked, await keys.current()].map(({ keyId }) => keyId)).size).toBe(1);
    ids.push((await keys.current()).keyId);
  }
  return ids;
}

describe('an alias of AWS KMS', () => {
  it('costs one remote call a minute, however often it is asked for', async () => {
    const { keyId } = await keys.current();
    expect(await idsOf(6)).toEqual(Array(6).fill(keyId));
    expect(aws.asked).toEqual(Array(3).fill(['ListAliases', 'DescribeKey']).flat());
  });

  it.each([0, 1])('pointed elsewhere is noticed within a minute, after %d quiet ones', async (quiet) => {
    await idsOf(quiet);
    leads = { to: b, since: 1_700_000_100 };
    const [id, ...after] = await idsOf(3);
    expect(id).toContain(`${alias}@1700000100000/${b.split('/').at(-1) ?? ''}`);
    expect(after).toEqual([id, id]);
  });

  it.each([0, 1])(
    'pointed away and back between two looks has another id within two minutes, after %d quiet ones',
    async (quiet) => {
      await idsOf(quiet);
      leads = { to: a, since: 1_700_000_100 };
      const [, id] = await idsOf(2);
      expect(id).toContain(`${alias}@1700000100000/${a.split('/').at(-1) ?? ''}`);
    },
  );

  it.each([0, 1])('whose key was rotated tells within two minutes, after %d quiet ones', async (quiet) => {
    await idsOf(quiet);
    material = newMaterial;
    const [, id] = await idsOf(2);
    expect(id).toContain(`/material=${newMaterial}`);
  });

  it('whose key was disabled says so each time it is asked, until it is enabled', async () => {
    const { keyId } = await keys.current();
    await idsOf(1);
    state = 'Disabled';
    letAMinutePass();
    for (let i = 0; i < 3; i++) {
      await expect(keys.current()).rejects.toMatchObject({ code: 'AwsKmsKeyDisabled', kind: 'denied' });
    }
    state = 'Enabled';
    expect((await keys.current()).keyId).toBe(keyId);
  });

  it('whose key was deleted meanwhile, after it was pointed elsewhere, is followed', async () => {
    const { answer } = aws;
    leads = { to: b, since: 1_700_000_100 };
    aws.answer = (action, body) =>
      body.includes(a) ? { status: 400, body: { __type: 'NotFoundException' } } : answer(action, body);
    const [id] = await idsOf(1);
    expect(id).toContain(b.split('/').at(-1));
  });
});
