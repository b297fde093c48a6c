import { z } from 'zod';
import type { AwsCredentialSource } from '../../keys/aws-credentials.ts';
import { isMultiRegion, parseAwsKmsKeyRef } from '../../keys/aws-kms-key-ref.ts';
import type { AwsKmsOptions } from '../../keys/aws-kms.ts';
import { absolutePath, address, name, travelsInTheClear } from './fields.ts';
import { keyServiceType } from './key-service-type.ts';

const region = z.string().regex(/^[a-z]{2}(-[a-z]+)+-[0-9]+$/, 'must be a Region, as in eu-central-1');
const roleArn = z
  .string()
  .regex(
    /^arn:aws[a-z-]*:iam::[0-9]{12}:role\/[\w+=,.@/-]{1,576}$/,
    'must be the ARN of a role, as in arn:aws:iam::111122223333:role/keyferry',
  );

const credentials = z
  .strictObject({
    profile: z.string().min(1).optional(),
    profileFile: absolutePath.optional(),
    webIdentity: z.strictObject({ roleArn, tokenFile: absolutePath }).optional(),
    assumeRole: z
      .strictObject({ roleArn, externalId: z.string().min(2).max(1224).exactOptional() })
      .optional(),
  })
  .transform(({ profile, profileFile, webIdentity, assumeRole }, context): AwsCredentialSource => {
    const fail = (message: string) => {
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    };
    if (profile !== undefined && webIdentity !== undefined)
      return fail('must have one of profile, webIdentity');
    if (profile === undefined && profileFile !== undefined)
      return fail('must have the profile of profileFile');
    const role = assumeRole === undefined ? {} : { assumeRole };
    if (webIdentity !== undefined) return { base: { type: 'web-identity', ...webIdentity }, ...role };
    if (profile === undefined) return { base: { type: 'default' }, ...role };
    const file = profileFile === undefined ? {} : { file: profileFile };
    return { base: { type: 'profile', profile, ...file }, ...role };
  });

const encryptionContext = z
  .record(z.string().min(1), z.string())
  .refine(
    (context) => Object.keys(context).every((key) => !key.startsWith('aws:')),
    'must not hold names that begin with "aws:", which AWS keeps for itself',
  )
  .refine((context) => JSON.stringify(context).length <= 8192, 'must have 8192 characters at most');

/** A key of AWS KMS. */
export const awsKms = keyServiceType({
  schema: z
    .strictObject({
      service: name,
      key: z.string(),
      region: region.optional(),
      encryptionContext: encryptionContext.default({}),
      credentials: credentials.prefault({}),
      endpoint: address.exactOptional(),
      stsEndpoint: address.exactOptional(),
      retryMode: z.enum(['standard', 'adaptive']).default('standard'),
      maxAttempts: z.int().min(1).max(10).default(3),
      timeoutMs: z.int().min(100).max(60_000).default(3_000),
    })
    .transform(({ key, region: given, ...settings }, context): AwsKmsOptions => {
      const fail = (field: string, message: string) => {
        context.addIssue({ code: 'custom', path: [field], message });
        return z.NEVER;
      };
      const ref = parseAwsKmsKeyRef(key);
      if (ref === undefined) return fail('key', 'must be the ARN of a key, or alias/ and a name');
      const used = given ?? (ref.type === 'key' ? ref.region : undefined);
      if (used === undefined) return fail('region', 'is missing: an alias is looked up in a Region');
      if (ref.type === 'key' && ref.region !== used && !isMultiRegion(ref.key)) {
        return fail('region', `must be ${ref.region}: only a multi-Region key (mrk-…) can be used elsewhere`);
      }
      return { ...settings, key: ref, region: used };
    }),

  async open(options, log) {
    if (options.endpoint !== undefined && travelsInTheClear(options.endpoint)) {
      log.warn({ endpoint: options.endpoint }, 'DEK seeds travel to this endpoint unencrypted; use https');
    }
    // The SDK takes its time to load, and most plugins don't need it.
    const { AwsKmsKeyService } = await import('../../keys/aws-kms.ts');
    return new AwsKmsKeyService(options);
  },

  // Key ids hold account and key: no two keys share one.
  conflict: () => undefined,
});
