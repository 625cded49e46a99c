import { z } from 'zod';
import type { PassthroughSettings } from '../../../shared/passdb-settings.ts';
import { commonPassdbSettings, definePassdbDriver } from './passdb-driver.ts';

/** The backend verifies. */
export const passthroughDriver = definePassdbDriver({
  schema: () => z.strictObject({ driver: z.literal('passthrough'), ...commonPassdbSettings() }),
  print: () => ({}),
  read: async (_values, common): Promise<PassthroughSettings> => ({
    ...common,
    driver: 'passthrough',
  }),
});
