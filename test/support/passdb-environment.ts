import { hash } from 'node:crypto';
import runPasswordJob from '../../src/shared/passwords/run-password-job.ts';
import { defaultUserNameRules } from '../../src/shared/user-name.ts';
import type { PassdbEnvironment } from '../../src/workers/auth/create-passdb.ts';
import { PasswordChecker } from '../../src/workers/auth/password-checker.ts';

/** What a driver gets of its worker; passwords are hashed here and now. */
export function passdbEnvironment(): PassdbEnvironment {
  return {
    userNames: defaultUserNameRules,
    passwords: new PasswordChecker(runPasswordJob, (user) => hash('sha256', user, 'buffer')),
    log: () => {},
    now: () => performance.now(),
  };
}
