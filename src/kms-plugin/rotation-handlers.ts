import { create } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { KeyServiceError } from '../keys/key-service.ts';
import { type Logger } from '../telemetry/logger.ts';
import {
  AnnounceResponseSchema,
  SealResponseSchema,
  VersionsResponseSchema,
  type AnnounceRequest,
  type AnnounceResponse,
  type SealRequest,
  type SealResponse,
  type VersionsRequest,
  type VersionsResponse,
} from './gen/rotation-v1_pb.ts';
import { checkLimits, checkPlaintext } from './handlers.ts';
import { type Rotation } from './rotation.ts';
import { refusal, unary, type OnAnswered } from './unary.ts';

/** The calls by which a rotation is led: see rotation-v1.proto. */
export function rotationHandlers(rotation: Rotation, log: Logger, answered?: OnAnswered) {
  const versions = unary<VersionsRequest, VersionsResponse>(
    'Versions',
    async ({ keyId }, signal) => {
      const { announcedKeyId, newest, announceableKeyId } = await rotation.report(keyId, signal);
      return create(VersionsResponseSchema, {
        announcedKeyId,
        newestKeyId: newest.keyId,
        newestDescription: newest.description,
        announceableKeyId: announceableKeyId ?? '',
      });
    },
    log,
    answered,
  );

  const seal = unary<SealRequest, SealResponse>(
    'Seal',
    async ({ keyId, plaintext }, signal) => {
      checkPlaintext(plaintext);
      const sealed = await orPrecondition(rotation.seal(Buffer.from(plaintext), keyId, signal));
      checkLimits(sealed);
      return create(SealResponseSchema, { ...sealed, annotations: { ...sealed.annotations } });
    },
    log,
    answered,
  );

  const announce = unary<AnnounceRequest, AnnounceResponse>(
    'Announce',
    async ({ keyId }, signal) =>
      create(AnnounceResponseSchema, {
        announcedKeyId: await orPrecondition(rotation.announce(keyId, signal)),
      }),
    log,
    answered,
  );

  return { versions, seal, announce };
}

/** A key id that was left is well known: it is what happened since that stands in the way. */
async function orPrecondition<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof KeyServiceError) || error.code !== 'KeyIdCameBack') throw error;
    throw refusal(status.FAILED_PRECONDITION, `${error.message} (${error.remedy})`);
  }
}
