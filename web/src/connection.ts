/**
 * One workstation's connection to its node: register, resume, heartbeat, own lease deadline, reconnect.
 *
 * Knows no browser: sockets, clocks, timers, randomness and storage come in through `Surroundings`, so that the tests
 * drive it with fake ones. Laws it keeps:
 *  - `editable` is true only while online and within the own lease deadline (lease.ts).
 *  - The stored cursor only moves past changes that listeners have been given; a repeated or early cursor costs a
 *    reload, one that runs ahead would lose changes. So the cursors of beats and of resumed welcomes are not taken.
 *  - After `superseded` and `removed` only a person reconnects.
 */
import { Lease, type Instant } from './lease';
import type { ConnectionView, Identity, Listener, LossReason, Saved, SocketLike, Surroundings } from './connection_types';
import {
  ProtocolError,
  type ClosingReason,
  type Cursor,
  type LostReason,
  type NodeEvent,
  type ProtocolErrorBody,
  type Reply,
  type Welcome,
} from './protocol';
import { notReachable, Requests } from './requests';

export type { ConnectionView, Identity, Listener, LossReason, Phase, Saved, SocketLike, Surroundings } from './connection_types';

const APP = 'verbund-page';
const WATCH = { types: ['*'], locks: true, presence: true };
/** A node that accepts but never answers the first message is given up after this. */
const ANSWER_MS = 10_000;
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MOST_MS = 15_000;
const DEFAULT_JITTER_MS = 500;
/** Refusals that trying again can't change. */
const FINAL = new Set(['unauthenticated', 'forbidden', 'address_taken', 'plaintext_refused', 'bad_message', 'unsupported']);

export class Connection {
  private readonly listeners = new Set<Listener>();
  private readonly requests: Requests;
  private readonly lease = new Lease();
  private readonly unansweredBeats = new Map<string, Instant>();
  private readonly held = new Map<string, string>();
  private identity: Identity | null = null;
  private saved: Saved | null = null;
  private socket: SocketLike | null = null;
  private helloId = '';
  private helloSent: Instant = { wall: 0, monotonic: 0 };
  private ids = 1;
  private attempts = 0;
  private jitterMs = DEFAULT_JITTER_MS;
  private closing: ClosingReason | null = null;
  private timers: { answer?: unknown; beat?: unknown; lease?: unknown; retry?: unknown } = {};
  private state: ConnectionView = {
    phase: 'idle', editable: false, reason: null, error: null, retryAt: null, welcome: null,
  };

  constructor(private readonly around: Surroundings) {
    this.requests = new Requests(() => around.random());
  }

  get view(): ConnectionView {
    return this.state;
  }
  get heldKeys(): string[] {
    return [...this.held.keys()];
  }

  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Resumes what this user's tab had before a reload, else registers. */
  start(identity: Identity): void {
    this.identity = identity;
    const saved = this.around.load();
    this.saved = saved?.user === identity.user ? saved : null;
    this.held.clear();
    for (const { key, token } of this.saved?.held ?? []) this.held.set(key, token);
    this.open(null, null);
  }

  /** The person's button: at once, whatever was planned. After `superseded` or `removed` as a new session. */
  reconnect(): void {
    if (!this.identity || this.state.phase === 'online') return;
    this.attempts = 0;
    this.open(null, null);
  }

  /** Looks at the clocks again: after waking up, when the tab is shown, when the network says it changed. */
  check(): void {
    if (this.state.phase === 'waiting') return this.reconnect();
    if (this.state.phase !== 'online') return;
    this.beat();
    this.show({});
  }

  /** Ends the session: locks are free at once. */
  stop(): void {
    if (this.state.phase === 'online') this.say({ op: 'goodbye', id: this.id() });
    this.dropSocket();
    this.requests.abandon(true);
    this.held.clear();
    this.forget();
    this.identity = null;
    this.show({ phase: 'idle', reason: null, error: null, retryAt: null, welcome: null });
  }

  /** Closes without a goodbye: the session waits for a resume, by this tab, within the node's reconnect window. */
  suspend(): void {
    this.dropSocket();
    this.requests.abandon(true);
    this.show({ phase: 'idle', reason: null, error: null, retryAt: null });
  }

  async lock(key: string): Promise<string> {
    const reply = await this.request('lock', { keys: [key], wait_ms: 0 }, true);
    const token = reply.tokens?.[key] ?? reply.token ?? '';
    this.held.set(key, token);
    this.persist();
    return token;
  }

  /** Without a connection the wish is kept: after resuming, whatever is not wanted any more is given back. */
  async unlock(key: string): Promise<void> {
    this.held.delete(key);
    this.persist();
    if (this.state.phase !== 'online') return;
    await this.request('unlock', { keys: [key] }, true);
  }

  async tell(to: string, text: string): Promise<number> {
    return (await this.request('tell', { to, text }, true)).delivered ?? 0;
  }

  private request(op: string, fields: Record<string, unknown>, repeatable: boolean): Promise<Reply> {
    if (this.state.phase !== 'online') return Promise.reject(notReachable());
    const { message, reply } = this.requests.add(op, fields, repeatable);
    this.say(message);
    return reply;
  }

  // ---- connecting ------------------------------------------------------------------------------------------

  private open(port: number | null, ticket: string | null): void {
    this.dropSocket();
    this.closing = null;
    this.show({ phase: 'connecting', retryAt: null });
    const socket = this.around.openSocket(port);
    this.socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.sayHello(ticket);
    };
    socket.onmessage = (text) => this.receive(text);
    socket.onclose = () => this.lose(this.closing ?? (opened ? 'lost' : 'unreachable'));
    this.timers.answer = this.around.after(ANSWER_MS, () => this.lose('no_answer'));
  }

  private sayHello(ticket: string | null): void {
    const extra = ticket === null ? {} : { ticket };
    this.helloId = this.id();
    this.helloSent = this.now();
    if (this.saved) {
      const { session, secret, cursor } = this.saved;
      const reclaim = [...this.held].map(([key, token]) => ({ key, token }));
      this.say({ op: 'resume', id: this.helloId, session, secret, cursor, watch: WATCH, reclaim, ...extra });
    } else {
      const { workstation, lang } = this.identity ?? { workstation: '', lang: 'de' };
      this.say({ op: 'register', id: this.helloId, workstation, app: APP, lang, watch: WATCH, ...extra });
    }
  }

  private heardHello(reply: Reply): void {
    if (reply.redirect) return this.open(reply.redirect.port, reply.redirect.ticket);
    if (reply.welcome) return this.enter(reply.welcome);
    const error = reply.error ?? { code: 'internal', message: 'no welcome' };
    if (this.saved && error.code === 'unknown_session') {
      this.forget();
      this.loseLocks([...this.held.keys()], 'expired');
      this.requests.abandon(true);
      return this.sayHello(null);
    }
    if (!FINAL.has(error.code)) return this.lose('refused', error);
    this.dropSocket();
    this.show({ phase: 'stopped', reason: 'refused', error, retryAt: null });
  }

  private enter(welcome: Welcome): void {
    this.around.cancel(this.timers.answer);
    this.attempts = 0;
    this.jitterMs = welcome.jitter_ms;
    this.lease.renew(this.helloSent, welcome.lease_ms);
    const cursor = welcome.resumed && this.saved ? this.saved.cursor : welcome.cursor;
    this.saved = { user: this.identity?.user ?? '', session: welcome.session, secret: welcome.secret, cursor, held: [] };
    this.show({ phase: 'online', reason: null, error: null, retryAt: null, welcome });
    this.beat();
    for (const message of this.requests.repeats()) this.say(message);
    this.settleHeld(welcome);
    this.persist();
    this.listeners.forEach((listener) => listener.welcome?.(welcome));
  }

  /** Compares what the node says this session holds with what the person still wants to hold. */
  private settleHeld(welcome: Welcome): void {
    const granted = new Map((welcome.held ?? []).map(({ key, token }) => [key, token]));
    const reasons = new Map((welcome.lost ?? []).map(({ key, reason }) => [key, reason]));
    const asked = new Set(this.requests.repeats().flatMap((body) => (body['op'] === 'lock' ? (body['keys'] as string[]) : [])));
    for (const [key, token] of granted) {
      if (this.held.has(key)) this.held.set(key, token);
      else if (!asked.has(key)) this.unlock(key).catch(() => undefined); // fails only with the connection, then again
    }
    for (const key of [...this.held.keys()]) {
      if (!granted.has(key)) this.loseLocks([key], reasons.get(key) ?? 'expired');
    }
  }

  private lose(reason: LossReason, error: ProtocolErrorBody | null = null): void {
    this.dropSocket();
    this.requests.abandon(false);
    if (reason === 'superseded' || reason === 'removed') {
      this.forget();
      this.requests.abandon(true);
      this.loseLocks([...this.held.keys()], 'broken');
      return this.show({ phase: 'stopped', reason, error, retryAt: null });
    }
    const backoff = this.attempts === 0 ? 0 : Math.min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** (this.attempts - 1));
    const wait = backoff + this.around.random() * this.jitterMs;
    this.attempts += 1;
    // Between two attempts the first reason stays: "unreachable" explains a torn connection no further.
    const kept = reason === 'unreachable' ? (this.state.reason ?? reason) : reason;
    this.show({ phase: 'waiting', reason: kept, error, retryAt: this.around.wall() + wait });
    this.timers.retry = this.around.after(wait, () => this.open(null, null));
  }

  // ---- messages --------------------------------------------------------------------------------------------

  private receive(text: string): void {
    const message: unknown = parse(text);
    if (typeof message !== 'object' || message === null) return;
    if ('event' in message) return this.happen(message as NodeEvent);
    const reply = message as Reply;
    const id = String(reply.re);
    if (id === this.helloId) {
      this.helloId = '';
      return this.heardHello(reply);
    }
    const sent = this.unansweredBeats.get(id);
    if (sent) return this.beatAnswered(id, sent, reply);
    this.requests.settle(reply);
  }

  private happen(event: NodeEvent): void {
    switch (event.event) {
      case 'ping':
        return this.beat();
      case 'closing':
        this.closing = event.reason;
        if (event.jitter_ms !== undefined) this.jitterMs = event.jitter_ms;
        return;
      case 'lock.lost':
        this.loseLocks(event.keys, event.reason, event.by, event.text);
        return;
      default:
        this.listeners.forEach((listener) => listener.event?.(event));
    }
    if (event.event === 'changes') this.advance({ history: event.history, csn: event.csn });
    if (event.event === 'snapshot') this.advance(event.cursor);
  }

  private advance(cursor: Cursor): void {
    if (!this.saved) return;
    this.saved.cursor = cursor;
    this.persist();
  }

  // ---- heartbeat and lease -----------------------------------------------------------------------------------

  private beat(): void {
    const welcome = this.state.welcome;
    if (!welcome) return;
    const now = this.now();
    for (const sent of this.unansweredBeats.values()) {
      const age = Math.max(now.wall - sent.wall, now.monotonic - sent.monotonic);
      if (age >= welcome.suspect_ms) return this.lose('no_answer');
    }
    const id = this.id();
    this.unansweredBeats.set(id, now);
    this.say({ op: 'beat', id });
    this.around.cancel(this.timers.beat);
    this.timers.beat = this.around.after(welcome.heartbeat_ms, () => this.beat());
  }

  private beatAnswered(id: string, sent: Instant, reply: Reply): void {
    this.unansweredBeats.delete(id);
    if (!reply.ok) return this.lose('lost'); // the node knows this session no more: resume tells
    this.lease.renew(sent, this.state.welcome?.lease_ms ?? 0);
    this.show({});
  }

  private loseLocks(keys: string[], reason: LostReason, by?: string, text?: string): void {
    const mine = keys.filter((key) => this.held.delete(key));
    if (mine.length === 0) return;
    this.persist();
    this.listeners.forEach((listener) => listener.lost?.(mine, reason, by, text));
  }

  // ---- bookkeeping -------------------------------------------------------------------------------------------

  private show(change: Partial<ConnectionView>): void {
    const next = { ...this.state, ...change };
    const left = this.lease.remaining(this.now());
    next.editable = next.phase === 'online' && left > 0;
    this.around.cancel(this.timers.lease);
    if (next.editable) this.timers.lease = this.around.after(left, () => this.show({}));
    const same = (Object.keys(next) as (keyof ConnectionView)[]).every((name) => next[name] === this.state[name]);
    if (same) return;
    this.state = next;
    this.listeners.forEach((listener) => listener.view?.(next));
  }

  private dropSocket(): void {
    for (const timer of Object.values(this.timers)) this.around.cancel(timer);
    this.timers = {};
    this.unansweredBeats.clear();
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  private say(message: object): void {
    this.socket?.send(JSON.stringify(message));
  }

  private persist(): void {
    if (!this.saved) return;
    this.saved.held = [...this.held].map(([key, token]) => ({ key, token }));
    this.around.save(this.saved);
  }

  private forget(): void {
    this.saved = null;
    this.around.save(null);
  }

  private now(): Instant {
    return { wall: this.around.wall(), monotonic: this.around.monotonic() };
  }

  private id(): string {
    return `c${this.ids++}`;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // a frame that is no JSON is not ours: the node closes what it can't speak with
  }
}

/** What to show a person for a failed request. */
export function asProtocolError(error: unknown): ProtocolError {
  if (error instanceof ProtocolError) return error;
  return new ProtocolError({ code: 'internal', message: error instanceof Error ? error.message : String(error) });
}
