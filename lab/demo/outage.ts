import { verifyContent } from '../seed.ts';
import { formatOf } from './etcd-view.ts';
import { counted } from './narrator.ts';
import { type Scene } from './scene.ts';

const SAMPLE = 200;
const NAME = 'after-the-outage';

/** Vault goes away and comes back: the cluster reads on, for API servers keep the keys they have unwrapped. */
export async function outage({ lab, narrator, watch, etcd, proof, signal }: Scene): Promise<void> {
  narrator.section(
    'Vault goes away for a moment',
    'A key service that must be asked for every read would take the cluster down with it. API servers ask it when they start and when keys change, and keep what they were told: Secrets stay readable meanwhile.',
  );
  narrator.show('Vault is stopped.');
  await lab.stopVault();
  for (const node of lab.nodes) {
    const { checked, missing, different, unreadable } = await verifyContent(lab, {
      node,
      limit: SAMPLE,
      signal,
    });
    const bad = missing.length + different.length + unreadable.length;
    const text = `without Vault, ${checked - bad} of ${counted(checked, 'object')} read through ${node}, unchanged`;
    narrator.show(text);
    proof.claim(bad === 0, text);
  }
  narrator.show(`the client meanwhile: ${watch.client()}`);
  await lab.startVault();
  narrator.show('Vault is back.');

  const [node = ''] = lab.nodes;
  const api = lab.api(node);
  try {
    const made = await api.request('POST', '/api/v1/namespaces/default/secrets', {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: NAME },
      stringData: { written: NAME },
    });
    const read = await api.request('GET', `/api/v1/namespaces/default/secrets/${NAME}`);
    const format = made.status === 201 ? formatOf(await etcd.bytes(`/registry/secrets/default/${NAME}`)) : '';
    const text = `a Secret written after that lies in etcd as ${format === '' ? 'nothing known' : format}…`;
    narrator.show(text);
    proof.claim(made.status === 201 && read.status === 200 && format.startsWith('k8s:enc:kms:v2:'), text);
  } finally {
    api.close();
  }
}
