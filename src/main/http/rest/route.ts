import type { z } from 'zod';
import type { AdminLog } from '../../admin/command.ts';
import type { AdminCaller } from '../admin-caller.ts';
import type { HttpDirector } from '../http-director.ts';
import type { HttpErrorCode } from '../http-error.ts';

/** What a handler works with. */
export interface RestContext {
  readonly http: HttpDirector;
  /** Gives commands in the name of who sent the request. */
  readonly admin: AdminCaller;
  readonly log: AdminLog;
  /** For lists of who ordered what. */
  readonly who: string;
}

/** `pieces`: a long list, as JSON text. */
export type RestAnswer =
  | { readonly status: number; readonly body?: unknown }
  | { readonly pieces: AsyncGenerator<string, void> };

export interface RestRequest<P, Q, B> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
}

export type RestMethod = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/** One request of the REST view: what the server serves, checks and documents comes from here. */
export interface RestRoute {
  readonly method: RestMethod;
  /** `/api/v1/users/{name}` */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly params: z.ZodObject;
  readonly query: z.ZodObject;
  /** Null: a body is not looked at. */
  readonly body: z.ZodType | null;
  /** By HTTP status; null: no body. */
  readonly answers: Readonly<
    Record<number, { readonly text: string; readonly schema: z.ZodType | null }>
  >;
  /** Besides those that every request may get. */
  readonly errors: readonly HttpErrorCode[];
  readonly handle: (
    context: RestContext,
    request: RestRequest<unknown, unknown, unknown>,
  ) => Promise<RestAnswer>;
}

/** Checks the types of a route: its handler gets what its schemas give. */
export function route<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType>(
  definition: Omit<RestRoute, 'params' | 'query' | 'body' | 'handle'> & {
    readonly params: P;
    readonly query: Q;
    readonly body: B | null;
    readonly handle: (
      context: RestContext,
      request: RestRequest<z.output<P>, z.output<Q>, z.output<B>>,
    ) => Promise<RestAnswer>;
  },
): RestRoute {
  // The server hands over what the schemas have given, and nothing else.
  return definition as unknown as RestRoute;
}

/** GET reads, everything else changes something. */
export function isChange({ method }: Pick<RestRoute, 'method'>): boolean {
  return method !== 'GET';
}
