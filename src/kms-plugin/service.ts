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

function unary<Req extends DescMessage, Res extends DescMessage>(
  name: string,
  request: Req,
  response: Res,
): MethodDefinition<MessageShape<Req>, MessageShape<Res>> {
  return {
    path: `/v2.KeyManagementService/${name}`,
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
  status: unary('Status', StatusRequestSchema, StatusResponseSchema),
  encrypt: unary('Encrypt', EncryptRequestSchema, EncryptResponseSchema),
  decrypt: unary('Decrypt', DecryptRequestSchema, DecryptResponseSchema),
};

/** What a fit plugin's Status says. */
export const kmsV2Protocol = { version: 'v2', healthy: 'ok' } as const;

/**
 * The longest message taken from the other side: ciphertext, key id and 32 KiB of annotations fit four times over.
 * In bytes.
 */
export const maxMessageBytes = 160 * 1024;
