import { z } from 'zod';
import { LocalKeyService } from '../../keys/local.ts';
import { absolutePath, name } from './fields.ts';
import { keyServiceType } from './key-service-type.ts';

/** A key in a file of this machine. */
export const local = keyServiceType({
  schema: z.strictObject({ service: name, keyFile: absolutePath }),
  open: (settings) => Promise.resolve(new LocalKeyService(settings)),
  // Key ids hold the key's fingerprint: no two keys share one.
  conflict: () => undefined,
});
