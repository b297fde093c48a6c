/** The key of a configuration: a key itself, or an alias that names one. */
export type AwsKmsKeyRef = AwsKmsKeyArn | AwsKmsAlias;

/** A key by its ARN. */
export interface AwsKmsKeyArn {
  readonly type: 'key';
  /** `aws`, `aws-cn`, `aws-us-gov` … */
  readonly partition: string;
  readonly region: string;
  /** 12 digits. */
  readonly account: string;
  /** A UUID, or `mrk-` and 32 hexadecimal digits for a multi-Region key, which has the same id in every Region. */
  readonly key: string;
}

/** An alias of the caller's own account, in the Region of the configuration. */
export interface AwsKmsAlias {
  readonly type: 'alias';
  /** With its prefix: `alias/keyferry`. */
  readonly name: string;
}

/** As a regular expression's source, for key ids too. */
export const awsKeyPattern = 'mrk-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
export const awsAliasPattern = 'alias/[A-Za-z0-9/_-]{1,250}';

const keyArn = new RegExp(`^arn:(aws[a-z-]*):kms:([a-z0-9-]+):([0-9]{12}):key/(${awsKeyPattern})$`);
const alias = new RegExp(`^${awsAliasPattern}$`);

/** Reads a key ARN or `alias/<name>`; `undefined` when it is neither. */
export function parseAwsKmsKeyRef(text: string): AwsKmsKeyRef | undefined {
  if (alias.test(text)) return { type: 'alias', name: text };
  const [, partition, region, account, key] = keyArn.exec(text) ?? [];
  if (partition === undefined || region === undefined || account === undefined || key === undefined) {
    return undefined;
  }
  return { type: 'key', partition, region, account, key };
}

/** @returns `arn:<partition>:kms:<region>:<account>:key/<key>` */
export function formatAwsKmsKeyArn({ partition, region, account, key }: Omit<AwsKmsKeyArn, 'type'>): string {
  return `arn:${partition}:kms:${region}:${account}:key/${key}`;
}

/** Whether related keys in other Regions have the same id and the same material. */
export function isMultiRegion(key: string): boolean {
  return key.startsWith('mrk-');
}
