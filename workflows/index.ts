export { census } from './census.ts';
export { migration } from './migration.ts';
export { nativeMigration } from './native-migration.ts';
export { preflight } from './preflight.ts';
export { reads } from './reads.ts';
export { rewriteShard } from './rewrite-shard.ts';
