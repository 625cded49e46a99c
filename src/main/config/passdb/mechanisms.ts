import { z } from 'zod';
import * as type from '../setting-types.ts';

/** What a server that gets the secret itself can be asked about. */
const VERIFIABLE = ['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER'] as const;

/** The setting `mechanisms` of drivers that cannot tell by themselves what their server knows. */
export function remoteMechanisms() {
  return z.array(type.oneOf(VERIFIABLE)).min(1).max(VERIFIABLE.length).default(['PLAIN', 'LOGIN']);
}
