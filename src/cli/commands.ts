import type { Command } from 'commander';

/** Commands of one module. They are loaded where one of them is called: each brings libraries that the others don't need. */
interface CommandModule {
  readonly names: readonly string[];
  readonly load: () => Promise<Command[]>;
}

interface CommandGroup {
  readonly title: string;
  readonly modules: readonly CommandModule[];
}

/** All commands, as the help groups and orders them. */
export const commandGroups: readonly CommandGroup[] = [
  {
    title: 'Before:',
    modules: [
      {
        names: ['validate', 'schema'],
        load: async () => {
          const { validateCommand, schemaCommand } = await import('./commands/documents.ts');
          return [validateCommand(), schemaCommand()];
        },
      },
      { names: ['plan'], load: async () => [(await import('./commands/plan.ts')).planCommand()] },
      {
        names: ['preflight'],
        load: async () => [(await import('./commands/preflight.ts')).preflightCommand()],
      },
      {
        names: ['encryption-config'],
        load: async () => [(await import('./commands/encryption-config.ts')).encryptionConfigCommand()],
      },
    ],
  },
  {
    title: 'A migration:',
    modules: [
      { names: ['start'], load: async () => [(await import('./commands/start.ts')).startCommand()] },
      { names: ['status'], load: async () => [(await import('./commands/status.ts')).statusCommand()] },
      {
        names: ['pause', 'resume', 'rollback', 'forward', 'approve', 'waive', 'rate'],
        load: async () => (await import('./commands/messages.ts')).messageCommands(),
      },
      { names: ['census'], load: async () => [(await import('./commands/census.ts')).censusCommand()] },
      { names: ['report'], load: async () => [(await import('./commands/report.ts')).reportCommand()] },
    ],
  },
  {
    title: 'Values at rest:',
    modules: [
      { names: ['inspect'], load: async () => [(await import('./commands/inspect.ts')).inspectCommand()] },
      { names: ['envelope'], load: async () => [(await import('./commands/envelope.ts')).envelopeCommand()] },
    ],
  },
  {
    title: 'Processes:',
    modules: [
      {
        names: ['worker', 'agent'],
        load: async () => {
          const { workerCommand, agentCommand } = await import('./commands/processes.ts');
          return [workerCommand(), agentCommand()];
        },
      },
      { names: ['plugin'], load: async () => [(await import('./commands/plugin.ts')).pluginCommand()] },
    ],
  },
  {
    title: 'Trying it out:',
    modules: [
      { names: ['demo'], load: async () => [(await import('./commands/demo.ts')).demoCommand()] },
      { names: ['lab'], load: async () => [(await import('./commands/lab.ts')).labCommand()] },
    ],
  },
];

/**
 * Adds the command that is called to a program, or all of them where it isn't known: for the help, and to say what was
 * meant instead.
 */
export async function addCommands(program: Command, called: string | undefined): Promise<void> {
  const isCalled = ({ names }: CommandModule): boolean => called !== undefined && names.includes(called);
  const known = commandGroups.some(({ modules }) => modules.some(isCalled));
  for (const { title, modules } of commandGroups) {
    program.commandsGroup(title);
    for (const module of known ? modules.filter(isCalled) : modules) {
      for (const command of await module.load()) program.addCommand(command);
    }
  }
}
