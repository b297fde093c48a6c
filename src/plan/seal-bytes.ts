import type { NodeFindings } from './preflight.ts';

/** What plugins add to each value: key id, encrypted DEK and annotations, in bytes. */
export interface SealBytes {
  target?: number;
  source?: number;
}

/** What the plugins of the nodes add to each value, where agents tell it: of nodes that differ, what takes the most room. */
export function sealBytesOf(nodes: readonly NodeFindings[]): SealBytes {
  const told = (which: 'plugin' | 'sourcePlugin'): number[] =>
    nodes.flatMap((node) => node[which]?.sealBytes ?? []);
  const [target, source] = [told('plugin'), told('sourcePlugin')];
  return {
    ...(target.length === 0 ? {} : { target: Math.max(...target) }),
    ...(source.length === 0 ? {} : { source: Math.min(...source) }),
  };
}
