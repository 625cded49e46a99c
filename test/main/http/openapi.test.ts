import { expect, it } from 'vitest';
import { describeApi } from '../../../src/main/http/rest/openapi.ts';
import { restRoutes } from '../../../src/main/http/rest/routes.ts';
import { HttpRig } from './http-rig.ts';

type Json = { readonly [key: string]: Json };

const description = JSON.parse(JSON.stringify(describeApi(restRoutes, '1.2.3'))) as Json;

it('is served', async () => {
  const { type, text } = await HttpRig.create().request('GET', '/openapi.json');
  expect(type).toBe('application/json; charset=utf-8');
  expect(JSON.parse(text)).toEqual(description);
  expect(description).toMatchObject({ openapi: '3.1.0', info: { version: '1.2.3' } });
});

it('has every route, with a name of its own and its parameters', () => {
  const names = new Set<unknown>();
  for (const { method, path } of restRoutes) {
    const operation = description['paths'][path][method.toLowerCase()];
    names.add(operation['operationId']);
    const parameters = operation['parameters'] as unknown as { name: string; in: string }[];
    const inPath = parameters.filter((parameter) => parameter.in === 'path');
    expect(inPath.map(({ name }) => `{${name}}`)).toEqual(path.match(/\{\w+\}/g) ?? []);
    expect(Object.keys(operation['responses'])).toEqual(
      expect.arrayContaining(['400', '401', '403', '500']),
    );
  }
  expect(names.size).toBe(restRoutes.length);
});

it('describes all that is served, and nothing else', async () => {
  const { app } = HttpRig.create();
  await app.ready();
  const paths = Object.entries(description['paths']).flatMap(([path, operations]) => {
    const url = path.replaceAll(/\{(\w+)\}/g, ':$1');
    return Object.keys(operations).map((method) => ({ method: method.toUpperCase(), url }));
  });
  for (const { method, url } of paths) {
    expect(app.hasRoute({ method: method as 'GET', url }), `${method} ${url}`).toBe(true);
  }
  const served = app.printRoutes({ commonPrefix: false }).match(/\((?:[A-Z]+(?:, )?)+\)/g) ?? [];
  const count = served.flatMap((methods) => methods.slice(1, -1).split(', ')).length;
  // Besides: GET / and OPTIONS *, which tell of the others, and the description itself.
  expect(count).toBe(paths.length + 3);
});

it('has no reference that leads nowhere, and no name that is not referred to', () => {
  const text = JSON.stringify(description);
  const references = [...text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)];
  expect(text.match(/\$ref/g)).toHaveLength(references.length);
  const names = new Set(references.map(([, name]) => name));
  expect([...names].sort()).toEqual(Object.keys(description['components']['schemas']).sort());
  expect(text).not.toContain('$defs');
});

it('says of changes that they need a key', () => {
  const remove = description['paths']['/api/v1/backends/{address}']['delete'];
  expect(remove['security']).toEqual([{ bearer: [] }, { basic: [] }, { dovecot: [] }]);
  expect(description['security']).toEqual([{ bearer: [] }, { basic: [] }, { dovecot: [] }, {}]);
});

it('shows what a request may be', () => {
  const add = description['paths']['/api/v1/backends']['post'];
  const schema = add['requestBody']['content']['application/json']['schema'];
  expect(schema).toMatchObject({
    type: 'object',
    required: ['address'],
    additionalProperties: false,
    properties: { vhost_count: { type: 'integer', minimum: 0, maximum: 1000, default: 100 } },
  });
});
