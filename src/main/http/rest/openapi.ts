import { z } from 'zod';
import { HTTP_STATUS, type HttpErrorCode } from '../http-error.ts';
import { isChange, type RestRoute } from './route.ts';
import * as schema from './schemas.ts';

const SCHEMAS = '#/components/schemas/';

type Json = Readonly<Record<string, unknown>>;

const COMPONENTS = [
  ...[schema.backend, schema.user, schema.userEntry, schema.userMove, schema.session],
  ...[schema.newJob, schema.job, schema.director, schema.error],
];
/** What any request may be answered with. */
const COMMON_ERRORS: readonly HttpErrorCode[] = [
  ...(['BAD_REQUEST', 'UNAUTHORIZED', 'KEY_REQUIRED', 'CROSS_SITE', 'INTERNAL'] as const),
];
const BODY_ERRORS: readonly HttpErrorCode[] = [
  ...(['BAD_JSON', 'BODY_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'] as const),
];

const SECURITY_SCHEMES = {
  bearer: { type: 'http', scheme: 'bearer', description: 'The key itself' },
  basic: { type: 'http', scheme: 'basic', description: 'User `doveadm`; the key is the password' },
  dovecot: {
    ...{ type: 'apiKey', in: 'header', name: 'Authorization' },
    description: '`X-Dovecot-API` and the key in base64, as for doveadm',
  },
};

/** The OpenAPI 3.1 description, made of the schemas by which requests are checked. */
export function describeApi(routes: readonly RestRoute[], version: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    paths[route.path] = {
      ...paths[route.path],
      [route.method.toLowerCase()]: operation(route),
    };
  }
  return {
    openapi: '3.1.0',
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    info: {
      ...{ title: 'Postilion', version },
      description:
        'Backends, users and ring of a mail director. Without keys (`http.api_key_file`) all that ' +
        'can be done is to read, and only from the same machine; with keys every request needs one.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [...Object.keys(SECURITY_SCHEMES).map((name) => ({ [name]: [] })), {}],
    paths: { ...paths, ...DOVEADM_PATHS },
    components: { schemas: componentSchemas(), securitySchemes: SECURITY_SCHEMES },
  };
}

function operation(route: RestRoute): Json {
  const { operationId, summary, params, query, body } = route;
  return {
    ...{ operationId, summary },
    tags: [route.path.split('/')[3]],
    parameters: [...parameters(params, 'path'), ...parameters(query, 'query')],
    ...(body === null ? {} : { requestBody: requestBody(body) }),
    responses: responses(route),
    // A key is needed, whether or not there are any.
    ...(isChange(route)
      ? { security: Object.keys(SECURITY_SCHEMES).map((name) => ({ [name]: [] })) }
      : {}),
  };
}

function parameters(object: z.ZodObject, place: 'path' | 'query'): Json[] {
  return Object.entries(object.shape).map(([name, type]) => {
    const { description, ...rest } = jsonSchema(type as z.ZodType, 'output') as Json;
    const required = place === 'path' || !isOptional(type as z.ZodType);
    const described = description === undefined ? {} : { description };
    return { name, in: place, required, ...described, schema: rest };
  });
}

function requestBody(body: z.ZodType): Json {
  const content = { 'application/json': { schema: jsonSchema(body, 'input') } };
  return { required: !isOptional(body), content };
}

function isOptional(type: z.ZodType): boolean {
  return type.safeParse(undefined).success;
}

/** One description for all codes of a status. */
function responses({ answers, errors, body }: RestRoute): Json {
  const all: Record<string, Json> = {};
  for (const [status, { text, schema: type }] of Object.entries(answers)) {
    const content = { 'application/json': { schema: type && jsonSchema(type, 'output') } };
    all[status] = type === null ? { description: text } : { description: text, content };
  }
  const codes = [...COMMON_ERRORS, ...(body === null ? [] : BODY_ERRORS), ...errors];
  for (const status of new Set(codes.map((code) => HTTP_STATUS[code]))) {
    const ofStatus = codes.filter((code) => HTTP_STATUS[code] === status);
    const content = { 'application/json': { schema: { $ref: `${SCHEMAS}Error` } } };
    all[status] = { description: ofStatus.join(', '), content };
  }
  return all;
}

/** Named schemas are references to the components. */
function jsonSchema(type: z.ZodType, io: 'input' | 'output'): Json {
  const id = type.meta()?.id;
  return id === undefined ? madeSchema(type, io) : { $ref: `${SCHEMAS}${id}` };
}

function madeSchema(type: z.ZodType, io: 'input' | 'output'): Json {
  const made = z.toJSONSchema(type, { io, target: 'draft-2020-12', unrepresentable: 'throw' });
  // What has a name was made for this one alone; all of them are among the components.
  const { $schema: _dialect, $defs: _named, id: _id, ...rest } = made;
  return JSON.parse(JSON.stringify(rest).replaceAll('"#/$defs/', `"${SCHEMAS}`)) as Json;
}

function componentSchemas(): Json {
  return Object.fromEntries(
    COMPONENTS.map((type) => [type.meta()?.id, madeSchema(type, 'output')]),
  );
}

const DOVEADM_ANSWER = {
  description: 'One answer for each command, in order',
  content: { 'application/json': { schema: { type: 'array', items: { type: 'array' } } } },
};

/** Dovecot's own shape, which no schema of ours checks. */
const DOVEADM_PATHS: Json = {
  '/doveadm/v1': {
    get: {
      ...{ operationId: 'listDoveadmCommands', tags: ['doveadm'] },
      summary: 'Names and parameters of the commands',
      responses: { 200: DOVEADM_ANSWER },
    },
    post: {
      ...{ operationId: 'doveadm', tags: ['doveadm'] },
      summary: "Commands in the form of Dovecot 2.3's doveadm HTTP API",
      requestBody: {
        required: true,
        content: {
          'application/json': {
            schema: {
              type: 'array',
              items: {
                type: 'array',
                prefixItems: [{ type: 'string' }, { type: 'object' }, { type: 'string' }],
                ...{ items: false, minItems: 3, maxItems: 3 },
              },
            },
            example: [['directorStatus', { user: 'alice' }, 'tag1']],
          },
        },
      },
      responses: {
        200: DOVEADM_ANSWER,
        400: { description: 'Not such a list', content: { 'text/plain': {} } },
        401: { description: 'A key is needed' },
      },
    },
  },
};
