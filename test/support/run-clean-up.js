import { rmSync } from 'node:fs';

/** Removes what `run-set-up.js` made. */
export default function cleanUp() {
  const folder = process.env.KEYFERRY_TEST_RUN;
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
}
