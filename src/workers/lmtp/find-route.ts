import { type LoginRoute, passthroughRoute } from '../auth/login-route.ts';
import type { ConnectionFacts } from '../protocols/engine.ts';
import type { LmtpContext } from '../worker-context.ts';

export type RouteVerdict =
  | { readonly kind: 'route'; readonly route: LoginRoute }
  | { readonly kind: 'unknown-user' }
  /** No answer: the MTA is to try again. */
  | { readonly kind: 'failed'; readonly detail: string };

/**
 * Where mail for a user goes. Nobody logs in for it: the databases are asked for the user's fields alone, and without
 * any, every user goes where the directory says.
 *
 * @param user normalised
 */
export function findRoute(
  context: LmtpContext,
  user: string,
  _originalUser: string,
  _facts: ConnectionFacts,
): RouteVerdict | Promise<RouteVerdict> {
  const credentials = { user, password: '', authzid: '', mechanism: '', isProven: false };
  return { kind: 'route', route: passthroughRoute(user, credentials, context.backend) };
}
