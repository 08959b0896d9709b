import { ProtocolError, type Reply } from './protocol';

interface Pending {
  body: Record<string, unknown>;
  /** Carries a `request`: may be said again after a lost reply and is done only once. */
  repeatable: boolean;
  resolve: (reply: Reply) => void;
  reject: (error: ProtocolError) => void;
}

export function notReachable(): ProtocolError {
  return new ProtocolError({ code: 'not_reachable', message: 'no connection to the node' });
}

/** Requests that wait for their one reply, by id. */
export class Requests {
  private readonly pending = new Map<string, Pending>();
  private next = 1;
  /** Keeps `request` unique over page loads within one session. */
  private readonly prefix: string;

  constructor(random: () => number) {
    this.prefix = Math.floor(random() * 36 ** 6).toString(36);
  }

  /** The promise of the reply, and the message to send. */
  add(op: string, fields: Record<string, unknown>, repeatable: boolean): { message: object; reply: Promise<Reply> } {
    const id = `r${this.next++}`;
    const body: Record<string, unknown> = { op, id, ...fields };
    if (repeatable) body['request'] = `${this.prefix}-${id}`;
    const reply = new Promise<Reply>((resolve, reject) => {
      this.pending.set(id, { body, repeatable, resolve, reject });
    });
    return { message: body, reply };
  }

  /** False when nobody waits for this reply. */
  settle(reply: Reply): boolean {
    const id = String(reply.re);
    const entry = this.pending.get(id);
    if (!entry) return false;
    this.pending.delete(id);
    if (reply.ok) entry.resolve(reply);
    else entry.reject(new ProtocolError(reply.error ?? { code: 'internal', message: 'refused without a reason' }));
    return true;
  }

  /** After a loss only repeatable requests go on waiting; `all` ends those too. */
  abandon(all: boolean): void {
    for (const [id, entry] of this.pending) {
      if (entry.repeatable && !all) continue;
      this.pending.delete(id);
      entry.reject(notReachable());
    }
  }

  /** What has to be said again once the session is resumed. */
  repeats(): Record<string, unknown>[] {
    return [...this.pending.values()].filter((entry) => entry.repeatable).map((entry) => entry.body);
  }
}
