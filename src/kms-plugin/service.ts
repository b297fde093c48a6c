import { fromBinary, toBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { type MethodDefinition } from '@grpc/grpc-js';
import {
  DecryptRequestSchema,
  DecryptResponseSchema,
  EncryptRequestSchema,
  EncryptResponseSchema,
  StatusRequestSchema,
  StatusResponseSchema,
} from './gen/kms-v2_pb.ts';
import {
  AnnounceRequestSchema,
  AnnounceResponseSchema,
  SealRequestSchema,
  SealResponseSchema,
  VersionsRequestSchema,
  VersionsResponseSchema,
} from './gen/rotation-v1_pb.ts';

/** @param path - `/<package>.<service>/<method>` */
export function unaryMethod<Req extends DescMessage, Res extends DescMessage>(
  path: string,
  request: Req,
  response: Res,
): MethodDefinition<MessageShape<Req>, MessageShape<Res>> {
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: (message) => Buffer.from(toBinary(request, message)),
    requestDeserialize: (bytes) => fromBinary(request, bytes),
    responseSerialize: (message) => Buffer.from(toBinary(response, message)),
    responseDeserialize: (bytes) => fromBinary(response, bytes),
  };
}

/** The methods of Kubernetes' KMS v2 plugin protocol, for a grpc-js server or client. */
export const keyManagementService = {
  status: unaryMethod('/v2.KeyManagementService/Status', StatusRequestSchema, StatusResponseSchema),
  encrypt: unaryMethod('/v2.KeyManagementService/Encrypt', EncryptRequestSchema, EncryptResponseSchema),
  decrypt: unaryMethod('/v2.KeyManagementService/Decrypt', DecryptRequestSchema, DecryptResponseSchema),
};

/** The methods by which keyferry leads a rotation. */
export const rotationService = {
  versions: unaryMethod(
    '/keyferry.plugin.v1.Rotation/Versions',
    VersionsRequestSchema,
    VersionsResponseSchema,
  ),
  seal: unaryMethod('/keyferry.plugin.v1.Rotation/Seal', SealRequestSchema, SealResponseSchema),
  announce: unaryMethod(
    '/keyferry.plugin.v1.Rotation/Announce',
    AnnounceRequestSchema,
    AnnounceResponseSchema,
  ),
};

/** What a fit plugin's Status says. */
export const kmsV2Protocol = { version: 'v2', healthy: 'ok' } as const;

/**
 * The longest message taken from the other side: ciphertext, key id and 32 KiB of annotations fit four times over.
 * In bytes.
 */
export const maxMessageBytes = 160 * 1024;
