import { passthroughRoute, type UserVerdict } from '../auth/login-route.ts';
import type { ConnectionFacts } from '../protocols/engine.ts';
import type { LmtpContext } from '../worker-context.ts';

/**
 * Where mail for a user goes. Nobody logs in for it: the databases are asked for the user's fields alone, and where
 * there are none, every user goes where the directory says.
 *
 * @param user normalised
 */
export function findRoute(
  context: LmtpContext,
  user: string,
  originalUser: string,
  facts: ConnectionFacts,
): UserVerdict | Promise<UserVerdict> {
  if (context.auth !== null) {
    return context.auth.findUser({ user, originalUser, protocol: 'lmtp', facts });
  }
  const credentials = { user, password: '', authzid: '', mechanism: '', isProven: false };
  return { kind: 'route', route: passthroughRoute(user, credentials, context.backend) };
}
