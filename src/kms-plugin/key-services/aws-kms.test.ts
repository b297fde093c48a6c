import { describe, expect, it } from '@jest/globals';
import { awsKms } from './aws-kms.ts';

const account = '111122223333';
const key = `arn:aws:kms:eu-central-1:${account}:key/1234abcd-12ab-34cd-56ef-1234567890ab`;
const multiRegion = `arn:aws:kms:eu-central-1:${account}:key/mrk-1234abcd12ab34cd56ef1234567890ab`;
const role = `arn:aws:iam::${account}:role/keyferry`;

const problemsOf = (settings: object) =>
  awsKms.schema
    .safeParse({ service: 'prod', ...settings })
    .error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
    .join('\n') ?? 'it was taken for valid';

describe('awsKms in a PluginConfiguration', () => {
  it("is a key ARN alone: its Region, the SDK's own credentials, three attempts of 3 s", () => {
    expect(awsKms.schema.parse({ service: 'prod', key })).toEqual({
      service: 'prod',
      key: {
        type: 'key',
        partition: 'aws',
        region: 'eu-central-1',
        account,
        key: '1234abcd-12ab-34cd-56ef-1234567890ab',
      },
      region: 'eu-central-1',
      encryptionContext: {},
      credentials: { base: { type: 'default' } },
      retryMode: 'standard',
      maxAttempts: 3,
      timeoutMs: 3_000,
    });
  });

  it('is an alias in a Region, with a profile that assumes a role', () => {
    const settings = {
      service: 'prod',
      key: 'alias/team/keyferry',
      region: 'us-gov-west-1',
      endpoint: 'https://vpce-1.kms.us-gov-west-1.vpce.amazonaws.com',
      credentials: { profile: 'node', assumeRole: { roleArn: role, externalId: 'cluster-1' } },
    };
    expect(awsKms.schema.parse(settings)).toMatchObject({
      key: { type: 'alias', name: 'alias/team/keyferry' },
      region: 'us-gov-west-1',
      credentials: {
        base: { type: 'profile', profile: 'node' },
        assumeRole: { roleArn: role, externalId: 'cluster-1' },
      },
    });
  });

  it("is a multi-Region key's replica in another Region, with a web identity", () => {
    const credentials = { webIdentity: { roleArn: role, tokenFile: '/var/run/token' } };
    expect(
      awsKms.schema.parse({ service: 'prod', key: multiRegion, region: 'us-west-2', credentials }),
    ).toMatchObject({
      region: 'us-west-2',
      credentials: { base: { type: 'web-identity', roleArn: role, tokenFile: '/var/run/token' } },
    });
  });

  it.each([
    ['a key of one Region in another', { key, region: 'us-west-2' }, 'region: must be eu-central-1'],
    ['an alias without a Region', { key: 'alias/x' }, 'region: is missing'],
    ['a key id without its ARN', { key: '1234abcd-12ab-34cd-56ef-1234567890ab' }, 'key: must be'],
    ["an alias's ARN", { key: `arn:aws:kms:eu-central-1:${account}:alias/x` }, 'key: must be'],
    [
      'two kinds of credentials',
      { key, credentials: { profile: 'p', webIdentity: { roleArn: role, tokenFile: '/t' } } },
      'credentials: must have one of',
    ],
    ['a file without its profile', { key, credentials: { profileFile: '/f' } }, 'credentials: must have the'],
    [
      'a role that is none',
      { key, credentials: { assumeRole: { roleArn: 'keyferry' } } },
      'credentials.assumeRole.roleArn: must be',
    ],
    ["a context of AWS's own", { key, encryptionContext: { 'aws:x': 'y' } }, 'encryptionContext: must not'],
    ['an access key', { key, credentials: { accessKeyId: 'AKIA', secretAccessKey: 's' } }, 'credentials: '],
    ['no attempts', { key, maxAttempts: 0 }, 'maxAttempts: '],
  ])('with %s is refused, by its path', (_, settings, problem) => {
    expect(problemsOf(settings)).toContain(problem);
  });
});
