import { normaliseUser, type UserNameRules } from '../../shared/user-name.ts';

export interface LoginNames {
  /** Who the session is for. */
  readonly user: string;
  /** Who proves to be somebody. */
  readonly authUser: string;
}

/**
 * Normalised names of a login. `user*master` (with `*` as auth_master_user_separator) is `user` as the authorisation
 * id of `master`, as in Dovecot. Null: not possible names.
 */
export function loginNames(
  name: string,
  authzid: string,
  rules: UserNameRules,
  separator: string,
): LoginNames | null {
  const parted = authzid === '' && separator !== '' ? name.indexOf(separator) : -1;
  const authName = parted < 0 ? name : name.slice(parted + 1);
  const userName = parted < 0 ? authzid : name.slice(0, parted);
  const authUser = normaliseUser(authName, rules);
  if (authUser === null || (parted >= 0 && userName === '')) return null;
  const user = userName === '' ? authUser : normaliseUser(userName, rules);
  return user === null ? null : { user, authUser };
}
