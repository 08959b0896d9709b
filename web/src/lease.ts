/** A moment on both clocks of a browser, in milliseconds. */
export interface Instant {
  wall: number;
  monotonic: number;
}

/** Read-only starts this much before the node may give the locks away, but never more than a sixth of the lease. */
const MARGIN_MS = 5000;

/**
 * How long this page may still act as holder of its locks.
 *
 * Counts from the *sending* of the last beat that was answered, so the node's own count always started later.
 * Of the two clocks the one that moved more decides: the monotonic one stands still while a computer sleeps, the wall
 * clock can be set back.
 */
export class Lease {
  private from: Instant | null = null;
  private lengthMs = 0;

  renew(sent: Instant, leaseMs: number): void {
    if (this.from && sent.monotonic < this.from.monotonic) return; // answers may overtake each other
    this.from = sent;
    this.lengthMs = leaseMs - Math.min(MARGIN_MS, leaseMs / 6);
  }

  end(): void {
    this.from = null;
  }

  /** Milliseconds left, 0 when it is over. */
  remaining(now: Instant): number {
    if (!this.from) return 0;
    const elapsed = Math.max(now.wall - this.from.wall, now.monotonic - this.from.monotonic);
    return Math.max(0, this.lengthMs - elapsed);
  }
}
