import { changeMethods } from './change-methods.ts';
import { mapMethod } from './map-method.ts';
import { apiName, type Method, type ParameterType } from './method.ts';
import { statusMethods } from './status-methods.ts';

/** In Dovecot's order. */
const ORDER = [
  ...['status', 'map', 'add', 'update', 'up', 'down', 'remove', 'move', 'kick', 'flush', 'dump'],
  ...['ring add', 'ring remove', 'ring status'],
];

/** All `doveadm director` commands. */
export const methods: readonly Method[] = [...statusMethods, mapMethod, ...changeMethods].sort(
  (a, b) => orderOf(a) - orderOf(b),
);

function orderOf({ name }: Method): number {
  return ORDER.indexOf(name.slice('director '.length));
}

const TYPE_NAMES: Readonly<Record<ParameterType, string>> = {
  ...{ string: 'string', stream: 'string', boolean: 'boolean', integer: 'integer' },
};

/** The list that GET /doveadm/v1 gives, blanks and all. */
export function describeMethods(): string {
  const entries = methods.map(({ name, parameters }) => {
    const lines = parameters.map((parameter) => {
      const type = TYPE_NAMES[parameter.type];
      return `\n\t\t{"name":"${apiName(parameter.name)}","type":"${type}"}`;
    });
    return `\t{"command":"${apiName(name)}", "parameters":[${lines.join(',')}\n\t]}`;
  });
  return `[\n${entries.join(',\n')}\n]`;
}
