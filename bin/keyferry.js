#!/usr/bin/env node
// Plain JavaScript that any Node can read: it says what is missing before newer syntax is loaded.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `keyferry needs Node.js 22.19 or newer; this is ${process.versions.node} (${process.execPath}).\n` +
      'Install a newer Node.js, or run it inside a checkout with "npx keyferry", which brings its own.',
  );
  process.exit(69);
}
import('../dist/src/cli/main.js');
