import { Command, Option } from 'commander';
import { z } from 'zod';
import { schemas, type Kind } from '../../spec/load.ts';
import { readDocument } from '../files.ts';
import { print } from '../output.ts';

export function validateCommand(): Command {
  return new Command('validate')
    .description('check a Migration or StorageVersionMigration document; nothing is contacted')
    .requiredOption('-f, --file <file>', 'the document, or - for standard input')
    .option('--json', 'print the document with its defaults filled in')
    .action(({ file, json = false }: { file: string; json?: boolean }) => {
      const document = readDocument(file);
      print(json, document, () => `${file} is a valid ${document.kind} (${document.metadata.name}).`);
    });
}

export function schemaCommand(): Command {
  return new Command('schema')
    .description('print the JSON Schema of documents')
    .addOption(
      new Option('--kind <kind>', 'of which kind').choices(Object.keys(schemas)).default('Migration'),
    )
    .action(({ kind }: { kind: Kind }) =>
      print(true, z.toJSONSchema(schemas[kind], { io: 'input' }), () => ''),
    );
}
