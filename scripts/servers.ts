// Finds or builds the real servers before the tests that need them: no test waits minutes for a compiler.
import { findMinistack } from '../lab/ministack.ts';
import { findServer } from '../lab/servers.ts';
import { previousApiServer, serverModules } from '../lab/server-modules.ts';
import { findSoftHsm } from '../lab/soft-hsm.ts';

for (const { name } of Object.values(serverModules)) {
  // No test needs it.
  if (name !== 'kubectl') await findServer(name, console.log);
}
// The one before takes minutes as well, and is needed by one test only.
if (process.argv.includes('--previous')) await findServer(previousApiServer, console.log);
await findSoftHsm(console.log);
await findMinistack(console.log);
