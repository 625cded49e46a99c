import { z } from 'zod';

const options = new WeakMap<z.ZodType, readonly z.ZodType[]>();

/**
 * A setting that is one of several kinds, told apart by hand: a union of zod's would report the errors of all of
 * them.
 */
export function chosen<T>(
  kinds: readonly z.ZodType<T>[],
  choose: (value: unknown) => z.ZodType<T>,
) {
  const schema = z.unknown().transform((value, context): T => {
    const result = choose(value).safeParse(value);
    if (result.success) return result.data;
    // Paths inside are relative; zod adds the path of this setting itself.
    for (const issue of result.error.issues) context.addIssue({ ...issue });
    return z.NEVER;
  });
  options.set(schema, kinds);
  return schema;
}

/** The kinds of chosen(); none for any other schema. */
export function kindsOf(schema: z.ZodType): readonly z.ZodType[] {
  return options.get(schema) ?? [];
}

export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
