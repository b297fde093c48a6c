import type { PluginConnections } from '../src/kms-plugin/connections.ts';

/** Seeds are kept from chunk to chunk, and forgotten once none has come for so long. */
const IDLE_MS = 10 * 60_000;

type Keep = <T>(use: () => Promise<T>) => Promise<T>;

const keepers = new WeakMap<PluginConnections, Keep>();

/** Runs what uses an agent's plugins, and lets their connections and seeds go when nobody has for a while. */
export function whileInUse(plugins: PluginConnections): Keep {
  const known = keepers.get(plugins);
  if (known !== undefined) return known;
  let users = 0;
  let timer: NodeJS.Timeout | undefined;
  const keep: Keep = async (use) => {
    clearTimeout(timer);
    users += 1;
    try {
      return await use();
    } finally {
      users -= 1;
      if (users === 0) timer = setTimeout(() => plugins.close(), IDLE_MS).unref();
    }
  };
  keepers.set(plugins, keep);
  return keep;
}
