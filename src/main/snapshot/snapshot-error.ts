import { PostilionError } from '../../shared/errors.ts';

/** A snapshot that cannot be used; the text says why. */
export class SnapshotDamaged extends PostilionError {
  constructor(message: string, options?: ErrorOptions) {
    super('SNAPSHOT_DAMAGED', message, options);
  }
}

/** The system refuses the file: nothing is known of what is in it. */
export class SnapshotUnreadable extends PostilionError {
  constructor(message: string, options?: ErrorOptions) {
    super('SNAPSHOT_UNREADABLE', message, options);
  }
}
