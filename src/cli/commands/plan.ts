import { randomBytes } from 'node:crypto';
import { Command } from 'commander';
import {
  arrange,
  arrangements,
  checkRotation,
  diffArrangements,
  parseEncryptionConfiguration,
  readConfigurationFile,
  withSecret,
  type Arrangement,
  type ProviderEntry,
  type ProviderReference,
} from '../../encryption-config/index.ts';
import { KeyferryError } from '../../errors.ts';
import { PHASE_OF_ARRANGEMENT } from '../../plan/outline.ts';
import { nodeFile, nodeOf } from '../../plan/sides.ts';
import { readMigration } from '../files.ts';
import { print } from '../output.ts';

interface PlannedEdit {
  phase: string;
  arrangement: Arrangement;
  /** A unified diff against the phase before, key material redacted. */
  diff: string;
}

/** Keys aren't shown: where the target's lies on the nodes only, another stands for it. */
async function shownTarget(target: ProviderReference): Promise<ProviderEntry> {
  try {
    return await withSecret(target);
  } catch (error) {
    if (!('secretFile' in target) || !(error instanceof KeyferryError && error.code === 'FileNotFound'))
      throw error;
    const { secretFile: _, ...provider } = target;
    return { ...provider, secret: randomBytes(32).toString('base64') };
  }
}

/** Source and target are one entry: nothing of the file changes. */
function rotationPlan(file: string): string {
  return [
    `source and target are one kms entry: its key is rotated, and ${file} stays as it is`,
    `${PHASE_OF_ARRANGEMENT['target-reads']}: every API server reads what each plugin seals with the newest version of the key`,
    `${PHASE_OF_ARRANGEMENT['target-writes']}: every plugin announces that version, and API servers seal with it`,
    `${PHASE_OF_ARRANGEMENT['target-only']}: nothing changes; an approval says that the version before may be retired`,
  ].join('\n');
}

export function planCommand(): Command {
  return new Command('plan')
    .description(
      'show what each phase does to the EncryptionConfiguration, as diffs with key material redacted',
    )
    .requiredOption('-f, --file <file>', 'a Migration document, or - for standard input')
    .option(
      '--encryption-config <file>',
      "a copy of a node's file; by default the spec's path on this machine",
    )
    .option('--node <name>', 'the node whose file it is; by default the first')
    .option('--json', 'answer as JSON')
    .action(async (options: { file: string; encryptionConfig?: string; node?: string; json?: boolean }) => {
      const { spec } = readMigration(options.file);
      const [first] = spec.cluster.apiServers;
      const node = options.node ?? (first === undefined ? '' : nodeOf(first));
      const nodes = spec.cluster.apiServers.map(nodeOf);
      if (!nodes.includes(node)) {
        throw new KeyferryError('UsageNode', `no API server of the document is on a node "${node}"`, {
          remedy: `name one of ${nodes.join(', ')}`,
        });
      }
      const planned = nodeFile(spec, node);
      const { text } = await readConfigurationFile(options.encryptionConfig ?? planned.file);
      if (planned.rotation === true && planned.target.type === 'kms') {
        const { file, target, resources } = planned;
        checkRotation(parseEncryptionConfiguration(text), { ...target, resources });
        print(options.json ?? false, { node, file, edits: [] }, () => rotationPlan(file));
        return;
      }
      const edit = { ...planned, target: await shownTarget(planned.target) };
      const texts = arrangements.map((arrangement) => arrange(text, { ...edit, arrangement }));
      const edits = arrangements.flatMap((arrangement, i): PlannedEdit[] => {
        const before = texts[i - 1];
        if (before === undefined) return [];
        return [
          {
            phase: PHASE_OF_ARRANGEMENT[arrangement],
            arrangement,
            diff: diffArrangements(before, texts[i] ?? ''),
          },
        ];
      });
      print(options.json ?? false, { node, file: edit.file, edits }, () =>
        edits.map((one) => `${one.phase} (${one.arrangement}) of ${edit.file}\n${one.diff}`).join('\n'),
      );
    });
}
