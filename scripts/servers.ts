// Finds or builds the real servers before the tests that need them: no test waits minutes for a compiler.
import { findMinistack } from '../lab/ministack.ts';
import { findServer } from '../lab/servers.ts';
import { findSoftHsm } from '../lab/soft-hsm.ts';

for (const name of ['etcd', 'kube-apiserver', 'temporal', 'vault'] as const) {
  await findServer(name, console.log);
}
await findSoftHsm(console.log);
await findMinistack(console.log);
