import { type Journal } from '../journal.ts';
import { type Lab } from '../lab.ts';
import { type EtcdView } from './etcd-view.ts';
import { type Keyferry } from './keyferry.ts';
import { type Narrator } from './narrator.ts';
import { type Proof } from './proof.ts';
import { type Rendering, type Watch } from './watch.ts';

/** What every part of the demo works with. */
export interface Stage {
  readonly lab: Lab;
  readonly narrator: Narrator;
  readonly keyferry: Keyferry;
  readonly etcd: EtcdView;
  readonly proof: Proof;
  readonly rendering: Rendering;
  readonly signal: AbortSignal;
}

/** A stage on which a client writes, and a migration runs. */
export interface Scene extends Stage {
  readonly journal: Journal;
  readonly watch: Watch;
}
