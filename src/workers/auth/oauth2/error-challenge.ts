/**
 * Tells a client why its token is no good: RFC 7628 3.2.2, and for XOAUTH2, which has no specification, as
 * Dovecot 2.3.19.1 and Gmail say it. Which of a token's claims was wrong is not told.
 */
export function errorChallenge(
  mechanism: string,
  error: 'invalid_token' | 'insufficient_scope',
  scopes: readonly string[],
  openidConfigurationUrl: string,
): string {
  const status =
    mechanism.toUpperCase() === 'XOAUTH2'
      ? { status: '401', schemes: 'bearer' }
      : { status: error };
  return JSON.stringify({
    ...status,
    ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
    ...(openidConfigurationUrl === '' ? {} : { 'openid-configuration': openidConfigurationUrl }),
  });
}
