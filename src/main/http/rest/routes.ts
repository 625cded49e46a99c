import { activityRoutes } from './activity.ts';
import { backendRoutes } from './backends.ts';
import { ringRoutes } from './ring.ts';
import type { RestRoute } from './route.ts';
import { userRoutes } from './users.ts';

/** The whole REST view. */
export const restRoutes: readonly RestRoute[] = [
  ...[...backendRoutes, ...userRoutes, ...ringRoutes, ...activityRoutes],
];
