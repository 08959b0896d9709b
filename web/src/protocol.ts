/** The messages of docs/protocol/README.md as far as the page speaks them. 64-bit numbers are strings. */

export interface Cursor {
  history: string;
  csn: string;
}

export interface Session {
  session: string;
  workstation: string;
  user: string;
  address: string;
  app: string;
  kind: 'workstation' | 'tool';
  since: string;
  state: 'active' | 'suspect' | 'reconnecting';
}

export interface Lock {
  key: string;
  token: string;
  session: string;
  workstation: string;
  user: string;
  address: string;
  since: string;
  note?: string;
  state: 'held' | 'releasing';
  waiting: number;
}

export interface KeyToken {
  key: string;
  token: string;
}

export type LostReason = 'expired' | 'broken' | 'refused';

export interface Welcome {
  session: string;
  secret: string;
  resumed: boolean;
  node: string;
  version: string;
  epoch: { term: number; start: number };
  mode: string;
  user: string;
  role: string;
  /** Absent: allowed. May a record that somebody else holds be opened for reading? */
  read_while_locked?: boolean;
  cursor: Cursor;
  heartbeat_ms: number;
  suspect_ms: number;
  lease_ms: number;
  reconnect_ms: number;
  jitter_ms: number;
  servers: string[];
  types: string[];
  sessions?: Session[];
  locks?: Lock[];
  held?: KeyToken[];
  lost?: { key: string; reason: LostReason }[];
}

export interface ProtocolErrorBody {
  code: string;
  message: string;
  hint?: string;
  holder?: Lock;
}

export interface Reply {
  re?: string | number;
  ok: boolean;
  error?: ProtocolErrorBody;
  welcome?: Welcome;
  redirect?: { port: number; ticket: string; accept_ms: number };
  cursor?: Cursor;
  token?: string;
  tokens?: Record<string, string>;
  delivered?: number;
}

export interface Change {
  key: string;
  op: 'insert' | 'update' | 'delete';
  was?: string;
  tables?: string[];
}

export type ClosingReason = 'superseded' | 'too_slow' | 'shutdown' | 'removed';

export type NodeEvent =
  | { event: 'session.joined'; session: Session }
  | { event: 'session.state'; session: string; state: Session['state'] }
  | { event: 'session.left'; session: string; workstation: string; user: string; reason: string }
  | { event: 'lock.granted'; locks: Lock[] }
  | { event: 'lock.released'; keys: string[]; session?: string; changes_pending?: boolean }
  | { event: 'lock.lost'; keys: string[]; reason: LostReason; by?: string; text?: string }
  | {
      event: 'changes';
      history: string;
      csn: string;
      changes?: Change[];
      bulk?: { type: string; count: number }[];
      truncated?: string[];
    }
  | { event: 'snapshot'; reason: string; cursor: Cursor }
  | { event: 'message'; from: Session; to: string; text: string; at: string }
  | { event: 'ping' }
  | { event: 'feed'; state: 'running' | 'stopped' | 'behind'; reason?: string; alarm?: string; reason_de?: string; alarm_de?: string }
  | { event: 'closing'; reason: ClosingReason; jitter_ms?: number };

/** Longest text of a message and longest name, in bytes of UTF-8. */
export const MAX_TEXT_BYTES = 4000;
export const MAX_NAME_BYTES = 128;

/** An answer `ok: false`, or a request that found no connection (code `not_reachable`). */
export class ProtocolError extends Error {
  readonly code: string;
  readonly hint: string | undefined;
  readonly holder: Lock | undefined;
  constructor(body: ProtocolErrorBody) {
    super(body.message);
    this.name = 'ProtocolError';
    this.code = body.code;
    this.hint = body.hint;
    this.holder = body.holder;
  }
}
