import { backendRoutes } from './backends.ts';
import { moveRoutes } from './moves.ts';
import { ringRoutes } from './ring.ts';
import type { RestRoute } from './route.ts';
import { sessionRoutes } from './sessions.ts';
import { userRoutes } from './users.ts';

/** The whole REST view. */
export const restRoutes: readonly RestRoute[] = [
  ...[...backendRoutes, ...userRoutes, ...ringRoutes, ...sessionRoutes, ...moveRoutes],
];
