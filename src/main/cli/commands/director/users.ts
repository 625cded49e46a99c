import { utf8Bytes } from '../../byte-output.ts';
import { ExitCode } from '../../exit-code.ts';
import { backendAddresses } from './backend-addresses.ts';
import { type DirectorCommand, need, positional, socketPath, withClient } from './call.ts';

export const move: DirectorCommand = {
  name: 'move',
  usage: '[-a <director socket path>] <user> <host>',
  parameters: [socketPath, positional('user'), positional('host')],
  run: (call) =>
    withClient(call, async (client) => {
      const { notices } = call;
      const user = need(call, 'user');
      const host = need(call, 'host');
      const hash = call.hashUser(utf8Bytes(user));
      const [ip] = await backendAddresses(host);
      client.send('USER-MOVE', String(hash), ip);
      const answer = await client.readLine();
      if (answer === 'OK') notices.info(`User hash ${hash} moved to ${ip}`);
      else if (answer === 'NOTFOUND') notices.notFound('Error', `Host '${ip}' doesn't exist`);
      else if (answer === 'TRYAGAIN') {
        const text = 'User is already being moved, wait a while for it to be finished';
        notices.error(text, ExitCode.TempFail);
      } else notices.error(`failed: ${answer}`, ExitCode.TempFail);
    }),
};

export const kick: DirectorCommand = {
  name: 'kick',
  usage: '[-a <director socket path>] [-f <passdb field>] <user>',
  parameters: [socketPath, { name: 'passdb-field', short: 'f', kind: 'text' }, positional('user')],
  run: (call) =>
    withClient(call, async (client) => {
      const user = need(call, 'user');
      const field = call.given.get('passdb-field');
      if (field === undefined) client.send('USER-KICK', utf8Bytes(user));
      else client.send('USER-KICK-ALT', utf8Bytes(field), utf8Bytes(user));
      const answer = await client.readLine();
      if (answer === 'OK') call.notices.info(`User ${user} kicked`);
      else call.notices.error(`failed: ${answer}`, ExitCode.TempFail);
    }),
};
