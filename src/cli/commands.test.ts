import { Command } from 'commander';
import { describe, expect, it, jest } from '@jest/globals';
import { addCommands, commandGroups } from './commands.ts';

// All libraries of all commands.
jest.setTimeout(60_000);

const added = async (called: string | undefined): Promise<string[]> => {
  const program = new Command();
  await addCommands(program, called);
  return program.commands.map((command) => command.name());
};

describe('the commands', () => {
  const modules = commandGroups.flatMap((group) => group.modules);

  it('of each module have the names by which it is found', async () => {
    for (const { names, load } of modules) {
      expect((await load()).map((command) => command.name())).toEqual(names);
    }
  });

  it('are all there for the help, and where none is known by the name that is called', async () => {
    const all = modules.flatMap(({ names }) => names);
    expect(await added(undefined)).toEqual(all);
    expect(await added('--help')).toEqual(all);
    expect(await added('statsu')).toEqual(all);
  });

  it('are loaded with their module only, where one is called', async () => {
    expect(await added('status')).toEqual(['status']);
    expect(await added('pause')).toContain('pause');
    expect(await added('pause')).not.toContain('status');
  });
});
