import { Command } from 'commander';
import { z } from 'zod';
import { migrationSchema } from '../../spec/migration.ts';
import { readMigration } from '../files.ts';
import { print } from '../output.ts';

export function validateCommand(): Command {
  return new Command('validate')
    .description('check a Migration document; nothing is contacted')
    .requiredOption('-f, --file <file>', 'the document, or - for standard input')
    .option('--json', 'print the document with its defaults filled in')
    .action(({ file, json = false }: { file: string; json?: boolean }) => {
      const migration = readMigration(file);
      print(json, migration, () => `${file} is a valid Migration (${migration.metadata.name}).`);
    });
}

export function schemaCommand(): Command {
  return new Command('schema')
    .description('print the JSON Schema of Migration documents')
    .action(() => print(true, z.toJSONSchema(migrationSchema, { io: 'input' }), () => ''));
}
