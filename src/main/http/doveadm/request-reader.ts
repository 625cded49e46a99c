import { httpLimits } from '../http-limits.ts';
import { JsonReader, type JsonToken } from './json-reader.ts';
import { isCalled, type Method, type Parameter } from './method.ts';

/** A request that is refused as a whole; the text is Dovecot's. */
export class BadRequest extends Error {}

/** One command of a request. */
export interface Call {
  /** Null: there is no such method. */
  readonly method: Method | null;
  readonly values: ReadonlyMap<string, string | boolean>;
  /** A parameter is not known, or has a wrong value. */
  readonly isBad: boolean;
  /** Latin1 string of bytes. */
  readonly tag: string;
}

const INTEGER = /^-?\d{1,18}$/;

/**
 * Reads `[["directorStatus", {"user": "alice"}, "tag1"], …]` as Dovecot 2.3.19.1's doveadm HTTP service does:
 * same refusals, same texts. Unlike there nothing has been done yet when something is wrong further on.
 * Throws BadRequest or JsonFault.
 */
export function readRequest(bytes: string, methods: readonly Method[]): Call[] {
  const reader = new JsonReader(bytes);
  if (reader.next()?.kind !== 'array') throw new BadRequest('Request must be a JSON array');
  const calls: Call[] = [];
  for (;;) {
    const kind = reader.next()?.kind;
    if (kind === 'array-end') break;
    if (kind !== 'array') throw new BadRequest('Command must be a JSON array');
    if (calls.length === httpLimits.doveadmCommands) {
      throw new BadRequest(`More than ${httpLimits.doveadmCommands} commands`);
    }
    calls.push(readCall(reader, methods));
  }
  if (reader.next() !== null) throw new BadRequest('Unexpected JSON element in input');
  return calls;
}

function readCall(reader: JsonReader, methods: readonly Method[]): Call {
  const name = reader.next();
  if (name?.kind !== 'string') throw new BadRequest('Command name must be a string');
  const method = methods.find((candidate) => isCalled(candidate.name, name.text)) ?? null;
  const values = new Map<string, string | boolean>();
  let isBad = false;
  if (method === null) reader.skipValue();
  else isBad = !readParameters(reader, method, values);
  const tag = reader.next();
  if (tag?.kind !== 'string') throw new BadRequest('Command ID must be a string');
  if (reader.next()?.kind !== 'array-end') {
    throw new BadRequest('Unexpected JSON element at end of command');
  }
  return { method, values, isBad, tag: tag.text };
}

/** False: something is wrong with them, but the request can be read on. */
function readParameters(
  reader: JsonReader,
  method: Method,
  values: Map<string, string | boolean>,
): boolean {
  if (reader.next()?.kind !== 'object') {
    throw new BadRequest('Parameters must be contained in a JSON object');
  }
  const given = new Set<Parameter>();
  let isGood = true;
  for (;;) {
    const key = reader.next();
    if (key?.kind !== 'key') return isGood;
    const parameter = method.parameters.find(({ name }) => isCalled(name, key.text));
    if (parameter !== undefined && given.has(parameter)) {
      throw new BadRequest(`Parameter \`${parameter.name}' is duplicated`);
    }
    if (parameter === undefined || !isGood) {
      // From the first mistake on nothing is looked at any more.
      reader.skipValue();
      isGood = false;
      continue;
    }
    given.add(parameter);
    isGood = readValue(reader, parameter, values);
  }
}

/** Dovecot takes any plain value for any type, as its text; lists and objects make it crash. */
function readValue(
  reader: JsonReader,
  { name, type }: Parameter,
  values: Map<string, string | boolean>,
): boolean {
  const token = reader.next();
  const text = plainText(token);
  if (text === null) {
    if (token?.kind === 'null') return true;
    closeValue(reader);
    return false;
  }
  switch (type) {
    case 'boolean':
      values.set(name, text === 'true');
      return true;
    case 'integer':
      if (!INTEGER.test(text)) return false;
      break;
    case 'stream':
      if (token?.kind !== 'string') return false;
      break;
    case 'string':
      break;
  }
  values.set(name, text);
  return true;
}

/** Null: no plain value. */
function plainText(token: JsonToken | null): string | null {
  switch (token?.kind) {
    case 'string':
    case 'number':
      return token.text;
    case 'true':
    case 'false':
      return token.kind;
    default:
      return null;
  }
}

/** Reads on to the end of a list or object that has begun. */
function closeValue(reader: JsonReader): void {
  let depth = 1;
  while (depth > 0) {
    const kind = reader.next()?.kind;
    if (kind === 'object' || kind === 'array') depth++;
    if (kind === 'object-end' || kind === 'array-end') depth--;
  }
}
