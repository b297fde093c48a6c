import { KeyferryError } from '../errors.ts';
import { checkEdit, checkResult } from './arrange-checks.ts';
import type { EntryModel, FileModel, ProviderModel } from './model.ts';
import { parseModel } from './parse.ts';
import { planEntries, scopeOf, type EditedArrangement, type EntryPlan, type ProviderPlan } from './plan.ts';
import { entryAsBlock, entryAsFlow, providerAsBlock, providerAsFlow } from './render.ts';
import { applyReplacements, notEditable, rewriteList, type Piece, type Replacement } from './splice.ts';
import { arrangements, type Arrangement, type ArrangementEdit } from './types.ts';

const edited: readonly EditedArrangement[] = ['target-reads', 'target-writes', 'target-only'];

/**
 * The text of a file in one of the arrangements of a migration: a pure function of the original text, whatever the
 * file says at present. Only the lines that have to change do.
 *
 * `source-only` is the original, byte for byte. For the others the edit has to be possible in all of them, so that a
 * migration that can begin can also end.
 *
 * @throws KeyferryError whose code begins with `EncryptionConfiguration`: `…Invalid` (with `problems`) for an original
 * that kube-apiserver would refuse, `…TargetInvalid`, `…NotWriter`, `…SourceMissing`, `…SameProvider`, `…PrefixInUse`,
 * `…SharedKms`, `…ThirdKms`, `…Wildcard`, `…NoResources`, `…NotEditable` where the edit doesn't fit the file
 */
export function arrange(
  originalText: string,
  edit: ArrangementEdit & { readonly arrangement: Arrangement },
): string {
  const { arrangement } = edit;
  if (arrangement === 'source-only') return originalText;
  // A file with kms v1 is in use, so its servers have the gate.
  const file = parseModel(originalText, { kmsV1: true });
  checkEdit(file, edit);
  const scope = scopeOf(file, edit);
  const plans = new Map(edited.map((each) => [each, planEntries(scope, each)]));
  const text = renderFile(originalText, file, plans.get(arrangement) ?? []);
  checkResult(file, text, edit, arrangement);
  return text;
}

/** Which arrangement of the original a text is, to the byte; undefined when it is none, or the edit doesn't fit. */
export function arrangementOf(
  text: string,
  originalText: string,
  edit: ArrangementEdit,
): Arrangement | undefined {
  if (text === originalText) return 'source-only';
  try {
    return arrangements.find((arrangement) => arrange(originalText, { ...edit, arrangement }) === text);
  } catch (error) {
    if (error instanceof KeyferryError) return undefined;
    throw error;
  }
}

function renderFile(text: string, file: FileModel, plan: readonly EntryPlan[]): string {
  const pieces = plan.map((entry): Piece => {
    if ('kept' in entry)
      return { kept: entry.kept, inner: renderEntry(text, file.entries[entry.kept] ?? notEditable(), entry) };
    const { resources, added } = entry;
    return {
      block: (column, eol) => entryAsBlock(resources, added, column, eol),
      flow: () => entryAsFlow(resources, added),
    };
  });
  return applyReplacements(text, [rewriteList(text, file.entriesNode ?? notEditable(), pieces)]);
}

function renderEntry(
  text: string,
  entry: EntryModel,
  plan: Extract<EntryPlan, { kept: number }>,
): Replacement[] {
  const replacements: Replacement[] = [];
  if (plan.resources.length !== entry.resources.length) {
    const pieces = plan.resources.map((kept) => ({ kept, inner: [] }));
    replacements.push(rewriteList(text, entry.resourcesNode ?? notEditable(), pieces));
  }
  if (!isUntouched(plan.providers, entry)) {
    const pieces = plan.providers.map((provider) => renderProvider(text, entry.providers, provider));
    replacements.push(rewriteList(text, entry.providersNode ?? notEditable(), pieces));
  }
  return replacements;
}

function isUntouched(plan: readonly ProviderPlan[], entry: EntryModel): boolean {
  return (
    plan.length === entry.providers.length &&
    plan.every((provider, i) => 'kept' in provider && provider.kept === i && provider.keys === undefined)
  );
}

function renderProvider(text: string, providers: readonly ProviderModel[], plan: ProviderPlan): Piece {
  if ('added' in plan) {
    return {
      block: (column, eol) => providerAsBlock(plan.added, column, eol),
      flow: () => providerAsFlow(plan.added),
    };
  }
  const provider = providers[plan.kept];
  if (plan.keys === undefined || provider === undefined) return { kept: plan.kept, inner: [] };
  if (!('keysNode' in provider) || provider.keysNode === undefined) return notEditable();
  const keys = plan.keys.map((kept) => ({ kept, inner: [] }));
  return { kept: plan.kept, inner: [rewriteList(text, provider.keysNode, keys)] };
}
