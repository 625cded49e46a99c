import { describe, expect, it } from 'vitest';
import { GetoptError, type Parameter, parseArguments } from '../../../src/main/cli/getopt.ts';

const PARAMETERS: readonly Parameter[] = [
  { name: 'socket-path', short: 'a', kind: 'text' },
  { name: 'force', short: 'F', kind: 'switch' },
  { name: 'forward', kind: 'text' },
  { name: 'max', kind: 'number' },
  { name: 'user', kind: 'text', isPositional: true },
  { name: 'host', kind: 'text', isPositional: true },
];

function parse(line: string): Record<string, string> {
  const args = line === '' ? [] : line.split(' ');
  return Object.fromEntries(parseArguments('verb', PARAMETERS, args));
}

// Each line of both tables is what doveadm 2.3.19.1 on glibc makes of it.
describe('parseArguments', () => {
  it.each<[string, Record<string, string>]>([
    ['', {}],
    ['alice', { user: 'alice' }],
    ['alice -a x ten', { 'socket-path': 'x', user: 'alice', host: 'ten' }],
    ['-ax alice', { 'socket-path': 'x', user: 'alice' }],
    ['-Fax', { force: '', 'socket-path': 'x' }],
    ['-a -F', { 'socket-path': '-F' }],
    ['-a --', { 'socket-path': '--' }],
    ['--socket-path=x', { 'socket-path': 'x' }],
    ['--socket-path x', { 'socket-path': 'x' }],
    ['--socket-path=', { 'socket-path': '' }],
    ['--so=x=y', { 'socket-path': 'x=y' }],
    ['--force', { force: '' }],
    ['--forc', { force: '' }],
    ['--max 5', { max: '5' }],
    ['--max -5', { max: '-5' }],
    ['--max many', {}],
    ['--max 5 --max x', {}],
    ['--user=bob carol', { user: 'bob', host: 'carol' }],
    ['-', { user: '-' }],
    ['-- -a x', { user: '-a', host: 'x' }],
    ['-a x -a y', { 'socket-path': 'y' }],
  ])('%j', (line, given) => {
    // --forc is the beginning of force only; --for would be of two.
    expect(parse(line)).toEqual(given);
  });

  it.each([
    ['-x', "verb: invalid option -- 'x'"],
    ['-Fx', "verb: invalid option -- 'x'"],
    ['-F=1', "verb: invalid option -- '='"],
    ['-a', "verb: option requires an argument -- 'a'"],
    ['-Fa', "verb: option requires an argument -- 'a'"],
    ['--bogus', "verb: unrecognized option '--bogus'"],
    ['--bogus=1', "verb: unrecognized option '--bogus=1'"],
    ['--socket-path', "verb: option '--socket-path' requires an argument"],
    ['--sock', "verb: option '--socket-path' requires an argument"],
    ['--force=1', "verb: option '--force' doesn't allow an argument"],
    ['--for', "verb: option '--for' is ambiguous; possibilities: '--force' '--forward'"],
    ['--for=1', "verb: option '--for=1' is ambiguous; possibilities: '--force' '--forward'"],
    ['a b c d', 'Error: Extraneous arguments found: c d'],
  ])('%j is refused', (line, text) => {
    expect(() => parse(line)).toThrow(new GetoptError(text));
  });
});
