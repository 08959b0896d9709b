/** What a connection needs from its surroundings, and what it shows. */
import type { ClosingReason, Cursor, KeyToken, LostReason, NodeEvent, ProtocolErrorBody, Welcome } from './protocol';

export interface SocketLike {
  send(text: string): void;
  close(): void;
  onopen: (() => void) | null;
  onmessage: ((text: string) => void) | null;
  /** Called once, also when the socket never opened. */
  onclose: (() => void) | null;
}

export interface Saved {
  user: string;
  session: string;
  secret: string;
  cursor: Cursor;
  held: KeyToken[];
}

export interface Surroundings {
  /** `port` null: where the page came from; else the port of a Terminalservice redirect. */
  openSocket(port: number | null): SocketLike;
  wall(): number;
  monotonic(): number;
  after(ms: number, then: () => void): unknown;
  cancel(timer: unknown): void;
  random(): number;
  load(): Saved | null;
  save(saved: Saved | null): void;
}

export type Phase = 'idle' | 'connecting' | 'online' | 'waiting' | 'stopped';

export type LossReason = 'lost' | 'no_answer' | 'unreachable' | 'refused' | ClosingReason;

export interface ConnectionView {
  phase: Phase;
  /** May the person change anything now? */
  editable: boolean;
  reason: LossReason | null;
  /** The node's words when it refused. */
  error: ProtocolErrorBody | null;
  /** Wall time of the next automatic attempt. */
  retryAt: number | null;
  welcome: Welcome | null;
}

export interface Listener {
  view?(view: ConnectionView): void;
  welcome?(welcome: Welcome): void;
  event?(event: NodeEvent): void;
  /** Locks that this page held and has no more. */
  lost?(keys: string[], reason: LostReason, by?: string, text?: string): void;
}

export interface Identity {
  user: string;
  workstation: string;
  lang: string;
}
