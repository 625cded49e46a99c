import type { Command } from './command.ts';
import { directorCommands } from './director-commands.ts';
import { dryRunCommand } from './dry-run-command.ts';
import { hostCommands } from './host-commands.ts';
import { moveCommands } from './move-commands.ts';
import { nodeCommands } from './node-command.ts';
import { resetCommands } from './reset-command.ts';
import { userCommands } from './user-commands.ts';
import { waitCommands } from './wait-commands.ts';
import { whoCommands } from './who-command.ts';
import { whyCommands } from './why-command.ts';

/** All commands of the director-admin protocol by name. */
export const commands: ReadonlyMap<string, Command> = new Map(
  Object.entries({
    ...{ ...hostCommands, ...resetCommands, ...userCommands, ...directorCommands },
    // Postilion's own.
    ...{ ...moveCommands, ...nodeCommands, ...waitCommands, ...whoCommands, ...whyCommands },
    'X-DRY-RUN': dryRunCommand((name) => commands.get(name)),
  }),
);
