import { describe, expect, test } from 'vitest';
import { smtpLimits } from '../../../src/shared/limits.ts';
import { parseSmtpCommand } from '../../../src/shared/wire/smtp-command.ts';
import {
  parseSmtpXclient,
  type SmtpIdentity,
  type SmtpXclient,
  xclientCommands,
} from '../../../src/workers/protocols/smtp-xclient.ts';
import { facts } from './engine-harness.ts';

describe('from a trusted peer', () => {
  test('everything', () => {
    const fields = Buffer.from('class=gold\tquota=5\x01tGB=').toString('base64');
    expect(
      parseSmtpXclient(
        'helo=client.test PROTO=esmtp TTL=4 PORT=35027 ADDR=IPV6:2001:db8::1 SESSION=a+2Bb ' +
          `FORWARD=${fields.replaceAll('=', '+3D')} LOGIN=alice TIMEOUT=60 NEW-ONE=x ` +
          'DESTADDR=192.0.2.9 DESTPORT=587',
      ),
    ).toEqual({
      helo: 'client.test',
      identity: {
        ttl: 4,
        remotePort: 35027,
        remoteIp: '2001:db8::1',
        sessionId: 'a+b',
        localIp: '192.0.2.9',
        localPort: 587,
        forward: [
          ['class', 'gold'],
          ['quota', '5\tGB='],
        ],
      },
    });
  });

  test('what is not known, what is no name, and what is no session id', () => {
    const nothing = { helo: '', identity: { forward: [] } };
    expect(
      parseSmtpXclient(
        'ADDR=[UNAVAILABLE] PORT=[unavailable] PROTO=[UNAVAILABLE] HELO=[UNAVAILABLE]',
      ),
    ).toEqual(nothing);
    expect(parseSmtpXclient('HELO=a+20b SESSION=a+20b')).toEqual(nothing);
  });

  test('IPv6 without a prefix (Dovecot 2.3)', () => {
    expect(parseSmtpXclient('ADDR=2001:db8::1')).toMatchObject({
      identity: { remoteIp: '2001:db8::1' },
    });
  });

  test('forwarded fields that would be unsafe are left out', () => {
    const value = Buffer.from('a=b\x01n\ta b=c\t=d\te=f').toString('base64').replaceAll('=', '+3D');
    expect(parseSmtpXclient(`FORWARD=${value}`)).toMatchObject({
      identity: { forward: [['e', 'f']] },
    });
  });

  test.each([
    ['', 'attribute'],
    ['ADDR', 'attribute'],
    ['=x', 'attribute'],
    ['PORT=1  TTL=2', 'attribute'],
    ['ADDR=', 'ADDR'],
    ['ADDR=localhost', 'ADDR'],
    ['ADDR=IPV6:192.0.2.1', 'ADDR'],
    ['addr=1.2.3.4 port=0', 'PORT'],
    ['PORT=65536', 'PORT'],
    ['TTL=-1', 'TTL'],
    ['PROTO=HTTP', 'PROTO'],
    ['HELO=a+2', 'HELO'],
    ['UNKNOWN=+zz', 'UNKNOWN'],
    ['FORWARD=!!!', 'FORWARD'],
    ['DESTADDR=x', 'DESTADDR'],
    ['DESTPORT=x', 'DESTPORT'],
  ])('%j: bad %s', (argument, name) => {
    expect(parseSmtpXclient(argument)).toBe(name);
  });
});

describe('to a backend', () => {
  const identity: SmtpIdentity = {
    proto: 'ESMTP',
    facts: { ...facts, sessionId: 'EuqmIPdg04h/Aw+v' },
    helo: 'client.test',
    login: '',
    forward: [
      ['class', 'gold'],
      ['quota', '5GB'],
    ],
  };
  const DOVECOT = 'ADDR PORT PROTO HELO LOGIN SESSION TTL TIMEOUT FORWARD'.split(' ');

  test('as recorded: Submission', () => {
    expect(xclientCommands(DOVECOT, identity)).toEqual([
      'XCLIENT HELO=client.test PROTO=ESMTP TTL=4 PORT=39557 ADDR=192.0.2.7 ' +
        'SESSION=EuqmIPdg04h/Aw+2Bv FORWARD=Y2xhc3M9Z29sZAlxdW90YT01R0I+3D\r\n',
    ]);
  });

  test('as recorded: LMTP, which has no FORWARD', () => {
    expect(xclientCommands(DOVECOT, { ...identity, proto: 'LMTP' })).toEqual([
      'XCLIENT HELO=client.test PROTO=LMTP SESSION=EuqmIPdg04h/Aw+2Bv TTL=4 PORT=39557 ' +
        'ADDR=192.0.2.7\r\n',
    ]);
  });

  test('without a port that a balancer did not know', () => {
    const unknown = { ...identity, facts: { ...identity.facts, remotePort: 0 } };
    expect(xclientCommands(['ADDR', 'PORT'], unknown)).toEqual(['XCLIENT ADDR=192.0.2.7\r\n']);
  });

  test('only what the backend announced', () => {
    expect(xclientCommands(['name', 'addr', 'helo'], identity)).toEqual([
      'XCLIENT HELO=client.test ADDR=192.0.2.7\r\n',
    ]);
    expect(xclientCommands(['NAME'], identity)).toEqual([]);
    expect(xclientCommands([], identity)).toEqual([]);
  });

  test('IPv6, an unknown name, who is logged in, and where the client came to', () => {
    const other = {
      ...identity,
      facts: { ...facts, remoteIp: '2001:db8::1' },
      helo: '',
      login: 'al=ice',
    };
    const names = ['ADDR', 'HELO', 'LOGIN', 'DESTADDR', 'DESTPORT'];
    expect(xclientCommands(names, other)).toEqual([
      'XCLIENT HELO=[UNAVAILABLE] LOGIN=al+3Dice DESTADDR=192.0.2.1 DESTPORT=143 ADDR=IPV6:2001:db8::1\r\n',
    ]);
    expect(xclientCommands(['ADDR'], { ...other, proto: 'LMTP' })).toEqual([
      'XCLIENT ADDR=2001:db8::1\r\n',
    ]);
  });

  test.each([
    [smtpLimits.commandBytes - 1, 1],
    [smtpLimits.commandBytes, 1],
    [smtpLimits.commandBytes + 1, 2],
  ])('%i bytes are %i commands', (size, count) => {
    const helo = 'x'.repeat(size - 'XCLIENT HELO= ADDR=192.0.2.7'.length);
    const commands = xclientCommands(['HELO', 'ADDR'], { ...identity, helo });
    expect(commands.length).toBe(count);
    expect(commands.at(-1)).toMatch(/ ADDR=192\.0\.2\.7\r\n$/);
    for (const command of commands) expect(command.length).toBeLessThanOrEqual(512);
  });

  test.each([
    [0, true],
    [4, false],
  ])('a FORWARD with %i characters over the limit', (excess, isSent) => {
    const room = Math.floor((smtpLimits.xclientLineBytes - ' FORWARD='.length) / 4) * 4;
    const value = 'v'.repeat(((room + excess) / 4) * 3 - 2);
    const commands = xclientCommands(DOVECOT, { ...identity, forward: [['k', value]] });
    expect(commands.length).toBe(isSent ? 2 : 1);
    expect(commands.join('').includes('FORWARD=')).toBe(isSent);
  });

  test('what we say, we understand', () => {
    const names = [...DOVECOT, 'DESTADDR', 'DESTPORT'];
    const [line = ''] = xclientCommands(names, identity);
    const parsed = parseSmtpXclient(parseSmtpCommand(line.slice(0, -2))!.argument) as SmtpXclient;
    expect(parsed).toEqual({
      helo: 'client.test',
      identity: {
        sessionId: 'EuqmIPdg04h/Aw+v',
        remoteIp: facts.remoteIp,
        remotePort: facts.remotePort,
        localIp: facts.localIp,
        localPort: facts.localPort,
        ttl: facts.ttl - 1,
        forward: identity.forward,
      },
    });
  });
});
