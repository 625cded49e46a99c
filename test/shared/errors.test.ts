import { describe, expect, it } from 'vitest';
import { errorCode, InvariantError, invariant, PostilionError } from '../../src/shared/errors.ts';

describe('errors', () => {
  it('have a code, the name of their class and their cause', () => {
    const cause = new Error('below');
    class OwnError extends PostilionError {}
    const error = new OwnError('OWN', 'text', { cause });
    expect(error).toMatchObject({ code: 'OWN', name: 'OwnError', message: 'text', cause });
    expect(errorCode(error)).toBe('OWN');
    expect(errorCode('no error')).toBe('');
  });

  it('of an invariant come only when it is broken', () => {
    invariant(1, 'one is true');
    expect(() => invariant(0, 'zero is true')).toThrow(InvariantError);
    expect(() => invariant(0, 'zero is true')).toThrow('broken invariant: zero is true');
  });
});
