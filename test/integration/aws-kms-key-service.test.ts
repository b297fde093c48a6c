import { setTimeout as sleep } from 'node:timers/promises';
import {
  DisableKeyCommand,
  EnableKeyCommand,
  RotateKeyOnDemandCommand,
  ScheduleKeyDeletionCommand,
  UpdateAliasCommand,
} from '@aws-sdk/client-kms';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  describeKeyServiceContract,
  letAMinutePass,
  type KeyServiceContract,
} from '../../src/keys/key-service.contract.test-helper.ts';
import { account, AwsAlone, otherAccount, otherRegion, region, roleArn } from '../support/aws-alone.ts';

const seed = Buffer.from('a seed that nobody may ever see.');
let aws: AwsAlone;
let keyArn: string;
let aliasNumber = 0;

beforeAll(async () => {
  aws = await AwsAlone.up();
}, 600_000);

afterAll(() => aws.down(), 60_000);

afterEach(async () => {
  jest.restoreAllMocks();
  await aws.closeServices();
});

const disable = async (ofRegion: string) => {
  await aws.kms(ofRegion).send(new DisableKeyCommand({ KeyId: keyId() }));
};
const enable = async (ofRegion: string) => {
  await aws.kms(ofRegion).send(new EnableKeyCommand({ KeyId: keyId() }));
};
const deleteKey = async (ofRegion: string) => {
  await aws.kms(ofRegion).send(new ScheduleKeyDeletionCommand({ KeyId: keyId(), PendingWindowInDays: 7 }));
};

const shared = {
  credentials: () => aws.secrets,
  longestPlaintext: 900,
  disabled: {
    cause: () => disable(region),
    undo: () => enable(region),
    kinds: ['denied'],
  },
  deleted: { cause: () => deleteKey(region), kinds: ['denied'] },
  network: { target: () => ({ host: '127.0.0.1', port: aws.config.port }) },
  frozen: { freeze: () => aws.signal('SIGSTOP'), thaw: () => aws.signal('SIGCONT') },
  restarted: { stop: () => aws.stop(), start: () => aws.start() },
} satisfies Partial<KeyServiceContract>;

describe('with a profile', () => {
  beforeEach(async () => {
    keyArn = await aws.newKey();
  });

  describeKeyServiceContract('a key of AWS KMS (emulated)', {
    ...shared,
    open: (port) => aws.service(keyArn, {}, port),
    openOther: async () => aws.service(await aws.newKey()),
    revoked: {
      cause: () => aws.setAccessKey('Inactive'),
      undo: () => aws.setAccessKey('Active'),
      kinds: ['denied'],
    },
    expired: { notShown: "a user's access key does not run out" },
  });
});

describe('with an assumed role', () => {
  let alias: string;
  const credentials = () => ({ base: aws.profile, assumeRole: { roleArn: roleArn('plugin') } });

  beforeEach(async () => {
    keyArn = await aws.newKey();
    alias = `alias/keyferry-${(aliasNumber += 1)}`;
    await aws.newAlias(alias, keyArn);
  });

  afterEach(() => aws.setRole('plugin', true));

  describeKeyServiceContract('an alias of AWS KMS (emulated)', {
    ...shared,
    open: (port) => aws.service(alias, { credentials: credentials() }, port),
    openOther: async () => {
      await aws.newAlias(`${alias}/other`, await aws.newKey());
      return aws.service(`${alias}/other`, { credentials: credentials() });
    },
    revoked: {
      cause: () => aws.setRole('plugin', false),
      undo: () => aws.setRole('plugin', true),
      kinds: ['denied'],
    },
    expired: { cause: () => aws.expireSessions() },
  });
});

describe('with a web identity', () => {
  const over = () => ({
    credentials: { base: aws.webIdentity },
    region: otherRegion,
    encryptionContext: { cluster: 'prod', purpose: 'etcd' },
  });

  beforeEach(async () => {
    keyArn = await aws.newMultiRegionKey();
  });

  afterEach(() => aws.setRole('web', true));

  describeKeyServiceContract("a multi-Region key's replica of AWS KMS (emulated), with a context,", {
    ...shared,
    open: (port) => aws.service(keyArn, over(), port),
    openOther: async () => aws.service(await aws.newMultiRegionKey(), over()),
    disabled: {
      cause: () => disable(otherRegion),
      undo: () => enable(otherRegion),
      kinds: ['denied'],
    },
    deleted: { cause: () => deleteKey(otherRegion), kinds: ['denied'] },
    revoked: {
      cause: () => aws.setRole('web', false),
      undo: () => aws.setRole('web', true),
      kinds: ['denied'],
    },
    expired: { cause: () => aws.expireSessions() },
  });
});

describe('a key of AWS KMS', () => {
  beforeEach(async () => {
    keyArn = await aws.newKey();
  });

  it('has an id that names service, account, key and material, and neither Region nor endpoint', async () => {
    const { keyId: id, description } = await aws.service(keyArn).current();
    expect(id).toMatch(new RegExp(`^aws-kms:test-aws/${account}/${keyId()}/material=[0-9a-f]{64}$`));
    expect(description).toContain(region);
  });

  it('that AWS rotated seals under its old id no more, has a new one at once, and opens what the old one sealed', async () => {
    const keys = aws.service(keyArn);
    const before = await keys.current();
    const sealed = await keys.encrypt(seed, before);
    await aws.kms().send(new RotateKeyOnDemandCommand({ KeyId: keyArn }));
    // AWS seals with the new material from now on, whatever the id says: nothing may go out under the old one.
    await expect(keys.encrypt(seed, before)).rejects.toThrow(failsWith('AwsKmsKeyRotated', 'wrong-key'));
    const after = await keys.current();
    expect(after.keyId).not.toBe(before.keyId);
    expect(await keys.decrypt(await keys.encrypt(seed, after), after.keyId)).toEqual(seed);
    expect(await keys.decrypt(sealed, before.keyId)).toEqual(seed);
    expect((await aws.service(keyArn).current()).keyId).toBe(after.keyId);
  });

  it('that nobody used is seen to be rotated within a minute', async () => {
    const keys = aws.service(keyArn);
    const before = await keys.current();
    await aws.kms().send(new RotateKeyOnDemandCommand({ KeyId: keyArn }));
    expect(await keys.current()).toEqual(before);
    letAMinutePass();
    expect((await keys.current()).keyId).not.toBe(before.keyId);
  });

  it('that is pending deletion says until when it can be saved', async () => {
    const keys = aws.service(keyArn);
    const current = await keys.current();
    await deleteKey(region);
    const pending = { code: 'AwsKmsKeyPendingDeletion', kind: 'denied' };
    const error: unknown = await keys.encrypt(seed, current).catch((reason: unknown) => reason);
    const inSevenDays = new Date(Date.now() + 7 * 86_400_000).toISOString().slice(0, 10);
    expect(error).toMatchObject({ ...pending, remedy: expect.stringContaining('cancel-key-deletion') });
    expect(String(error)).toContain(`deleted, on ${inSevenDays}`);
    await expect(aws.service(keyArn).current()).rejects.toMatchObject(pending);
  });

  it('without material of its own yet, of another kind, or that is not there, says so', async () => {
    for (const [key, code, kind] of [
      [await aws.newKey({ Origin: 'EXTERNAL' }), 'AwsKmsKeyPendingImport', 'denied'],
      [
        await aws.newKey({ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' }),
        'AwsKmsKeyUnfit',
        'denied',
      ],
      [keyArn.replace(/[0-9a-f]{12}$/, '000000000000'), 'AwsKmsKeyNotFound', 'not-found'],
      ['alias/nowhere', 'AwsKmsKeyNotFound', 'not-found'],
    ] as const) {
      await expect(aws.service(key).current()).rejects.toThrow(failsWith(code, kind));
    }
  });

  it('opens with exactly its encryption context, which is part of its id', async () => {
    const bound = aws.service(keyArn, { encryptionContext: { cluster: 'a', purpose: 'etcd' } });
    const current = await bound.current();
    expect(current.keyId).toMatch(/\/context=[0-9a-f]{16}\//);
    const sealed = await bound.encrypt(seed, current);
    const reordered = aws.service(keyArn, { encryptionContext: { purpose: 'etcd', cluster: 'a' } });
    expect(await reordered.decrypt(sealed, current.keyId)).toEqual(seed);
    for (const encryptionContext of [{}, { cluster: 'a' }, { cluster: 'b', purpose: 'etcd' }]) {
      const other = aws.service(keyArn, { encryptionContext });
      await expect(other.decrypt(sealed, current.keyId)).rejects.toThrow(
        failsWith('AwsKmsContextDiffers', 'wrong-key'),
      );
      // Nor does AWS open it, for whoever takes it for one of that context's.
      const { keyId: own } = await other.current();
      await expect(other.decrypt(sealed, own)).rejects.toThrow(failsWith('CiphertextInvalid', 'invalid'));
    }
  });

  it('of several Regions has one id in all of them, and what one sealed the other opens', async () => {
    keyArn = await aws.newMultiRegionKey();
    const [here, there] = [aws.service(keyArn), aws.service(keyArn, { region: otherRegion })];
    const [version, versionThere] = [await here.current(), await there.current()];
    expect(versionThere.keyId).toBe(version.keyId);
    expect(await there.decrypt(await here.encrypt(seed, version), version.keyId)).toEqual(seed);
    await aws.kms().send(new RotateKeyOnDemandCommand({ KeyId: keyArn }));
    letAMinutePass();
    const rotated = await here.current();
    expect(rotated.keyId).not.toBe(version.keyId);
    expect((await there.current()).keyId).toBe(rotated.keyId);
  });

  it('of another account is used through a role there', async () => {
    const theirs = await aws.newKey({}, otherAccount);
    const keys = aws.service(theirs, {
      credentials: { base: aws.profile, assumeRole: { roleArn: roleArn('plugin', otherAccount) } },
    });
    const current = await keys.current();
    expect(current.keyId).toContain(`/${otherAccount}/`);
    expect(await keys.decrypt(await keys.encrypt(seed, current), current.keyId)).toEqual(seed);
    // The same key id in the user's own account is another key.
    await expect(
      keys.decrypt(Buffer.from('x'), current.keyId.replace(otherAccount, account)),
    ).rejects.toThrow(failsWith('WrongKeyId', 'wrong-key'));
  });
});

describe('an alias of AWS KMS', () => {
  let alias: string;
  const pointAt = (key: string) =>
    aws.kms().send(new UpdateAliasCommand({ AliasName: alias, TargetKeyId: key }));

  beforeEach(async () => {
    keyArn = await aws.newKey();
    alias = `alias/team/keyferry-${(aliasNumber += 1)}`;
    await aws.newAlias(alias, keyArn);
  });

  it('pointed at another key is noticed within a minute; until then the key it led to seals', async () => {
    const keys = aws.service(alias);
    const before = await keys.current();
    const other = await aws.newKey();
    await sleep(1_100);
    await pointAt(other);
    expect(await keys.current()).toEqual(before);
    const sealed = await keys.encrypt(seed, before);
    await expect(aws.service(keyArn).decrypt(sealed, before.keyId)).resolves.toEqual(seed);
    letAMinutePass();
    const after = await keys.current();
    expect(after.keyId).toContain(other.split('/').at(-1));
    expect(await keys.decrypt(await keys.encrypt(seed, after), after.keyId)).toEqual(seed);
    // What the key before sealed opens as long as that key is there, also for a plugin that was restarted.
    expect(await keys.decrypt(sealed, before.keyId)).toEqual(seed);
    expect(await aws.service(alias).decrypt(sealed, before.keyId)).toEqual(seed);
  });

  it('pointed away and back has a third id, the same for a plugin that was restarted', async () => {
    const keys = aws.service(alias);
    const first = await keys.current();
    await sleep(1_100);
    await pointAt(await aws.newKey());
    await sleep(1_100);
    await pointAt(keyArn);
    letAMinutePass();
    const third = await keys.current();
    expect(third.keyId).not.toBe(first.keyId);
    expect((await aws.service(alias).current()).keyId).toBe(third.keyId);
    const sealed = await keys.encrypt(seed, first);
    expect(await keys.decrypt(sealed, third.keyId)).toEqual(seed);
  });

  it('does not open what another alias or key of the account sealed', async () => {
    await aws.newAlias(`${alias}/other`, await aws.newKey());
    const other = aws.service(`${alias}/other`);
    const theirs = await other.current();
    const sealed = await other.encrypt(seed, theirs);
    await expect(aws.service(alias).decrypt(sealed, theirs.keyId)).rejects.toThrow(
      failsWith('WrongKeyId', 'wrong-key'),
    );
  });
});

describe('AWS credentials', () => {
  beforeEach(async () => {
    keyArn = await aws.newKey();
  });

  it('that are not there, or not to be read, say where they were looked for', async () => {
    const { file } = aws.profile;
    for (const [base, where] of [
      [{ type: 'profile', profile: 'nobody', file } as const, 'the profile nobody'],
      [{ ...aws.webIdentity, tokenFile: '/nowhere/token' } as const, '/nowhere/token can'],
    ] as const) {
      const keys = aws.service(keyArn, { credentials: { base } });
      const error: unknown = await keys.current().catch((reason: unknown) => reason);
      expect(error).toEqual(failsWith('AwsCredentials', 'denied'));
      expect(String(error)).toContain(where);
    }
  });

  it('of a role that may not be assumed name it, and why', async () => {
    const role = roleArn('web');
    const credentials = { base: aws.profile, assumeRole: { roleArn: role } };
    const error: unknown = await aws
      .service(keyArn, { credentials })
      .current()
      .catch((reason: unknown) => reason);
    expect(error).toEqual(failsWith('AwsCredentials', 'denied'));
    expect(String(error)).toMatch(new RegExp(`${role}.*AccessDenied`));
  });

  it('replaced in their file are used without a restart', async () => {
    const keys = aws.service(keyArn);
    const current = await keys.current();
    await aws.replaceAccessKey();
    expect(await keys.decrypt(await keys.encrypt(seed, current), current.keyId)).toEqual(seed);
  });

  it('that may not use the key name the permission and the policy that lacks it', async () => {
    await aws.setRole('plugin', false);
    try {
      const credentials = { base: aws.profile, assumeRole: { roleArn: roleArn('plugin') } };
      const error: unknown = await aws
        .service(keyArn, { credentials })
        .current()
        .catch((reason: unknown) => reason);
      expect(error).toEqual(failsWith('AwsKmsPermissionDenied', 'denied'));
      expect(String(error)).toMatch(/kms:DescribeKey .*because no identity-based policy allows/);
    } finally {
      await aws.setRole('plugin', true);
    }
  });
});

function failsWith(code: string, kind: string): unknown {
  return expect.objectContaining({ code, kind, remedy: expect.stringMatching(/\w/) });
}

function keyId(): string {
  return keyArn.split('/').at(-1) ?? '';
}
