import { beforeEach } from '@jest/globals';
import { InMemoryTestDoubleKeyService } from './in-memory.test-helper.ts';
import { type KeyServiceErrorKind } from './key-service.ts';
import { describeKeyServiceContract } from './key-service.contract.test-helper.ts';

// What other tests take for a key service must behave as the real ones do.
let keys: InMemoryTestDoubleKeyService;

beforeEach(() => {
  keys = new InMemoryTestDoubleKeyService();
});

const fail = (kind?: KeyServiceErrorKind) => {
  keys.failWith(kind);
  return Promise.resolve();
};
const itself = { notShown: 'the double has neither credentials nor a process of its own' };

describeKeyServiceContract('the double in memory', {
  open: () => keys,
  openOther: () => new InMemoryTestDoubleKeyService('another-test-double'),
  credentials: () => [],
  longestPlaintext: 1000,
  disabled: {
    cause: () => fail('denied'),
    undo: () => fail(),
    kinds: ['denied'],
  },
  deleted: { cause: () => fail('not-found'), kinds: ['not-found'] },
  revoked: itself,
  expired: itself,
  network: itself,
  frozen: itself,
  restarted: itself,
});
