import { KeyferryError } from '../../src/errors.ts';
import { readManifest } from '../seed.ts';
import { formatOf, hexdump } from './etcd-view.ts';
import { figure } from './narrator.ts';
import { type Stage } from './scene.ts';

const SHOWN_BYTES = 96;

/** The Secret whose bytes are shown before and after. */
export interface Specimen {
  readonly key: string;
}

/** Shows the bytes of one Secret as they lie in etcd. */
export async function showBytes(
  { lab, narrator, etcd, proof }: Stage,
  when: 'before' | 'after',
  specimen: Specimen = { key: anySecret(Object.keys(readManifest(lab).objects)) },
): Promise<Specimen> {
  if (when === 'before') {
    narrator.section(
      'What lies in etcd',
      'Every Secret is encrypted already, but with a key that stands in a file on each control-plane node: whoever gets the disk gets the key. Here is one Secret as etcd has it. The first words name the provider and the key.',
    );
  } else {
    narrator.section(
      'The same Secret now',
      'The key that counts is in Vault and never leaves it. What follows the name of the provider is the sealed Secret; behind it lie the id of the key in Vault, and a wrapped key that only Vault can unwrap.',
    );
  }
  const value = await etcd.bytes(specimen.key);
  const format = formatOf(value);
  narrator.show(`${specimen.key}: ${figure(value.length)} bytes, of which the first are`);
  narrator.show(hexdump(value, SHOWN_BYTES));
  narrator.gap();
  const expected = when === 'before' ? 'k8s:enc:aescbc:v1:key1:' : 'k8s:enc:kms:v2:vault:';
  narrator.show(`It begins with ${format === '' ? 'no known format' : format}`);
  if (when === 'before' && format !== expected) {
    throw new KeyferryError(
      'DemoSeed',
      `${specimen.key} should begin with ${expected}, and begins with "${format}".`,
      {
        remedy: "Look at the API servers' logs in the folder of the lab.",
      },
    );
  }
  if (when === 'after')
    proof.claim(
      format === expected,
      `the Secret that began with k8s:enc:aescbc:v1:key1: begins with ${format}`,
    );
  return specimen;
}

/** One with an ordinary name. */
function anySecret(objects: readonly string[]): string {
  const object = objects.find((one) => /^secrets\/[^/]+\/seed-\d+-[0-9a-f]{6}$/.test(one));
  if (object !== undefined) return `/registry/${object}`;
  throw new KeyferryError('NotFoundSeed', 'No Secret was seeded.', {
    remedy: 'Give a larger number to --secrets.',
  });
}
