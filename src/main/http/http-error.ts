import { PostilionError } from '../../shared/errors.ts';

/** Stable codes of errors that a client of the HTTP API may see, and their HTTP status. */
export const HTTP_STATUS = {
  BAD_REQUEST: 400,
  BAD_JSON: 400,
  UNAUTHORIZED: 401,
  KEY_REQUIRED: 403,
  CROSS_SITE: 403,
  NOT_FOUND: 404,
  BACKEND_NOT_FOUND: 404,
  DIRECTOR_NOT_FOUND: 404,
  JOB_NOT_FOUND: 404,
  BACKEND_EXISTS: 409,
  TAG_FIXED: 409,
  BACKEND_UPDATING: 409,
  USER_BUSY: 409,
  JOB_REFUSED: 409,
  JOB_OVER: 409,
  NO_RING: 409,
  LIMIT_REACHED: 409,
  BODY_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  INTERNAL: 500,
  RING_UNSYNCED: 503,
  BUSY: 503,
} as const;
export type HttpErrorCode = keyof typeof HTTP_STATUS;

/** One thing that is wrong with a request. */
export interface RequestFault {
  /** `body.vhost_count` */
  readonly at: string;
  readonly text: string;
}

/** A request that is answered with an error; the text is for its client. */
export class HttpError extends PostilionError {
  declare readonly code: HttpErrorCode;
  readonly faults: readonly RequestFault[];

  constructor(code: HttpErrorCode, message: string, faults: readonly RequestFault[] = []) {
    super(code, message);
    this.faults = faults;
  }

  get status(): number {
    return HTTP_STATUS[this.code];
  }

  /** What the client is sent. */
  toJSON(): { error: { code: string; message: string; faults?: readonly RequestFault[] } } {
    const { code, message, faults } = this;
    return { error: faults.length === 0 ? { code, message } : { code, message, faults } };
  }
}
