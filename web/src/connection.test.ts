import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Connection, type ConnectionView, type Saved, type SocketLike, type Surroundings } from './connection';
import type { NodeEvent, Welcome } from './protocol';

type Said = Record<string, unknown> & { op: string; id: string };

class FakeSocket implements SocketLike {
  onopen: (() => void) | null = null;
  onmessage: ((text: string) => void) | null = null;
  onclose: (() => void) | null = null;
  closed = false;
  said: Said[] = [];
  constructor(readonly port: number | null) {}
  send(text: string): void {
    this.said.push(JSON.parse(text) as Said);
  }
  close(): void {
    this.closed = true;
  }
  hear(message: object): void {
    this.onmessage?.(JSON.stringify(message));
  }
  last(op: string): Said {
    const found = this.said.findLast((each) => each.op === op);
    if (!found) throw new Error(`nothing said with op ${op}`);
    return found;
  }
  count(op: string): number {
    return this.said.filter((each) => each.op === op).length;
  }
}

/** A browser whose clocks the test sets; `sleep` moves the wall clock alone, as a suspended computer does. */
class FakeBrowser implements Surroundings {
  sockets: FakeSocket[] = [];
  saved: Saved | null = null;
  slept = 0;
  openSocket(port: number | null): SocketLike {
    const socket = new FakeSocket(port);
    this.sockets.push(socket);
    return socket;
  }
  wall = () => Date.now() + this.slept;
  monotonic = () => performance.now();
  after = (ms: number, then: () => void): unknown => setTimeout(then, ms);
  cancel = (timer: unknown) => clearTimeout(timer as ReturnType<typeof setTimeout>);
  random = () => 0.5;
  load = () => this.saved && structuredClone(this.saved);
  save = (saved: Saved | null) => {
    this.saved = saved && structuredClone(saved);
  };
  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error('no socket was opened');
    return socket;
  }
}

const CURSOR = { history: 'h', csn: '100' };
const WELCOME: Welcome = {
  session: '17', secret: 's', resumed: false, node: 'praxis', version: '0', epoch: { term: 1, start: 1 }, mode: 'Shared',
  user: 'anna', role: 'staff', cursor: CURSOR, heartbeat_ms: 5000, suspect_ms: 10_000, lease_ms: 30_000,
  reconnect_ms: 35_000, jitter_ms: 500, servers: [], types: ['patient'], sessions: [], locks: [],
};
const ANNA = { user: 'anna', workstation: 'Empfang 1', lang: 'de' };

let browser: FakeBrowser;
let connection: Connection;
let events: NodeEvent[];
let lost: { keys: string[]; reason: string; by: string | undefined }[];
let views: ConnectionView[];

function make(): void {
  connection = new Connection(browser);
  connection.listen({
    event: (event) => events.push(event),
    lost: (keys, reason, by) => lost.push({ keys, reason, by }),
    view: (view) => views.push(view),
  });
}

afterEach(() => {
  vi.clearAllTimers();
});

beforeEach(() => {
  vi.useFakeTimers();
  browser = new FakeBrowser();
  [events, lost, views] = [[], [], []];
  make();
});

function enter(op: 'register' | 'resume', welcome: Partial<Welcome> = {}): FakeSocket {
  const { socket } = browser;
  socket.onopen?.();
  socket.hear({ re: socket.last(op).id, ok: true, welcome: { ...WELCOME, resumed: op === 'resume', ...welcome } });
  return socket;
}

function register(welcome: Partial<Welcome> = {}): FakeSocket {
  connection.start(ANNA);
  return enter('register', welcome);
}

function answerBeat(socket: FakeSocket): void {
  socket.hear({ re: socket.last('beat').id, ok: true, cursor: { history: 'h', csn: '999' } });
}

/** Lets `seconds` pass with a node that answers every beat. */
function live(seconds: number): void {
  for (let second = 0; second < seconds; second += 1) {
    vi.advanceTimersByTime(1000);
    answerBeat(browser.socket);
  }
}

async function lock(socket: FakeSocket, key: string, token = '7'): Promise<void> {
  const granted = connection.lock(key);
  socket.hear({ re: socket.last('lock').id, ok: true, token, keys: [key], tokens: { [key]: token } });
  await granted;
}

const change = (csn: string): NodeEvent => ({ event: 'changes', history: 'h', csn, changes: [] });

describe('registering', () => {
  test('says who it is without a password and becomes editable with the welcome', () => {
    const socket = register();
    expect(socket.said[0]).toMatchObject({ op: 'register', workstation: 'Empfang 1', app: 'verbund-page' });
    expect(socket.said[0]).not.toHaveProperty('password');
    expect(connection.view).toMatchObject({ phase: 'online', editable: true });
  });

  test('a refusal that no repetition changes stops, and the button tries again', () => {
    connection.start(ANNA);
    browser.socket.onopen?.();
    browser.socket.hear({ re: browser.socket.last('register').id, ok: false, error: { code: 'address_taken', message: 'taken by Labor' } });
    expect(connection.view).toMatchObject({ phase: 'stopped', reason: 'refused', error: { message: 'taken by Labor' } });
    vi.advanceTimersByTime(120_000);
    expect(browser.sockets).toHaveLength(1);
    connection.reconnect();
    expect(browser.sockets).toHaveLength(2);
  });

  test('follows the redirect of Terminalservice mode with its ticket', () => {
    connection.start(ANNA);
    browser.socket.onopen?.();
    browser.socket.hear({ re: browser.socket.last('register').id, ok: true, redirect: { port: 2301, ticket: 't1', accept_ms: 10_000 } });
    expect(browser.socket.port).toBe(2301);
    expect(enter('register').said[0]).toMatchObject({ op: 'register', ticket: 't1' });
    expect(connection.view.phase).toBe('online');
  });

  test('a node that accepts but does not answer is given up', () => {
    connection.start(ANNA);
    browser.socket.onopen?.();
    vi.advanceTimersByTime(10_000);
    expect(connection.view).toMatchObject({ phase: 'waiting', reason: 'no_answer' });
  });
});

describe('heartbeat', () => {
  test('beats by the interval of the node', () => {
    const socket = register();
    expect(socket.count('beat')).toBe(1);
    live(10);
    expect(socket.count('beat')).toBe(3);
  });

  test('answers a ping with a beat, for timers of hidden tabs are slow', () => {
    const socket = register();
    socket.hear({ event: 'ping' });
    expect(socket.count('beat')).toBe(2);
  });

  test('a link on which nothing is answered any more is given up after suspect_ms', () => {
    const socket = register();
    live(5);
    vi.advanceTimersByTime(15_000);
    expect(connection.view).toMatchObject({ phase: 'waiting', editable: false, reason: 'no_answer' });
    expect(socket.closed).toBe(true);
  });

  test('a beat that the node does not take leads to a resume', () => {
    const socket = register();
    socket.hear({ re: socket.last('beat').id, ok: false, error: { code: 'not_registered', message: 'who?' } });
    expect(connection.view.phase).toBe('waiting');
  });
});

describe('lease', () => {
  test('read-only comes before the lease ends, counted from the sending of the last answered beat', () => {
    const socket = register({ suspect_ms: 600_000 });
    vi.advanceTimersByTime(3000);
    answerBeat(socket); // sent at 0, answered at 3 s
    vi.advanceTimersByTime(21_999);
    expect(connection.view.editable).toBe(true);
    vi.advanceTimersByTime(1);
    expect(connection.view).toMatchObject({ phase: 'online', editable: false });
  });

  test('an answered beat makes it editable again', () => {
    const socket = register({ suspect_ms: 600_000 });
    vi.advanceTimersByTime(26_000);
    expect(connection.view.editable).toBe(false);
    answerBeat(socket);
    expect(connection.view.editable).toBe(true);
  });

  test('time that only the wall clock saw counts: after a suspend the page is read-only', () => {
    register({ suspect_ms: 600_000 });
    browser.slept = 3_600_000;
    connection.check();
    expect(connection.view.editable).toBe(false);
  });

  test('a wall clock that is set back gives no time', () => {
    register({ suspect_ms: 600_000 });
    browser.slept = -3_600_000;
    vi.advanceTimersByTime(25_001);
    connection.check();
    expect(connection.view.editable).toBe(false);
  });
});

describe('loss', () => {
  test('read-only at once, then a resume with session, secret, cursor and locks', async () => {
    const first = register();
    await lock(first, 'patient/1');
    first.hear(change('105'));
    first.onclose?.();
    expect(connection.view).toMatchObject({ phase: 'waiting', editable: false, reason: 'lost' });
    vi.advanceTimersByTime(250); // half of jitter_ms: random is 0.5
    const second = browser.socket;
    expect(second).not.toBe(first);
    second.onopen?.();
    expect(second.last('resume')).toMatchObject({
      session: '17', secret: 's', cursor: { history: 'h', csn: '105' }, reclaim: [{ key: 'patient/1', token: '7' }],
    });
  });

  test('attempts become rarer up to 15 s plus jitter', () => {
    register().onclose?.();
    const waits: number[] = [];
    for (let n = 0; n < 8; n += 1) {
      waits.push((connection.view.retryAt ?? 0) - Date.now());
      vi.advanceTimersToNextTimer();
      browser.socket.onclose?.();
    }
    expect(waits).toEqual([250, 750, 1250, 2250, 4250, 8250, 15_250, 15_250]);
    expect(connection.view.reason).toBe('lost');
  });

  test('the jitter that the node gives with its farewell is used', () => {
    const socket = register();
    socket.hear({ event: 'closing', reason: 'shutdown', jitter_ms: 8000 });
    socket.onclose?.();
    expect(connection.view.reason).toBe('shutdown');
    expect((connection.view.retryAt ?? 0) - Date.now()).toBe(4000);
  });

  test('the button reconnects at once', () => {
    register().onclose?.();
    connection.reconnect();
    expect(browser.sockets).toHaveLength(2);
  });

  test.each(['superseded', 'removed'] as const)('after %s only a person reconnects, as a new session', (reason) => {
    const socket = register();
    socket.hear({ event: 'closing', reason });
    socket.onclose?.();
    vi.advanceTimersByTime(600_000);
    expect(connection.view).toMatchObject({ phase: 'stopped', reason, editable: false });
    expect(browser.sockets).toHaveLength(1);
    connection.reconnect();
    browser.socket.onopen?.();
    expect(browser.socket.said[0]?.op).toBe('register');
  });
});

describe('resume', () => {
  test('the cursor of a beat or of a resumed welcome never runs ahead of the changes received', () => {
    const first = register();
    live(6);
    first.hear(change('105'));
    first.onclose?.();
    vi.advanceTimersByTime(250);
    const second = enter('resume', { cursor: { history: 'h', csn: '500' } });
    second.onclose?.();
    vi.advanceTimersByTime(250);
    browser.socket.onopen?.();
    expect(browser.socket.last('resume')).toMatchObject({ cursor: { csn: '105' } });
  });

  test('an unknown session registers anew on the same connection, and its locks are lost', async () => {
    const first = register();
    await lock(first, 'patient/1');
    first.onclose?.();
    vi.advanceTimersByTime(250);
    const { socket } = browser;
    socket.onopen?.();
    socket.hear({ re: socket.last('resume').id, ok: false, error: { code: 'unknown_session', message: 'gone' } });
    expect(lost).toEqual([{ keys: ['patient/1'], reason: 'expired', by: undefined }]);
    expect(socket.last('register')).toMatchObject({ workstation: 'Empfang 1' });
  });

  test('locks that the node did not keep are told as lost', async () => {
    const first = register();
    await lock(first, 'patient/1');
    await lock(first, 'patient/2', '8');
    first.onclose?.();
    vi.advanceTimersByTime(250);
    enter('resume', { held: [{ key: 'patient/2', token: '9' }], lost: [{ key: 'patient/1', reason: 'refused' }] });
    expect(lost).toEqual([{ keys: ['patient/1'], reason: 'refused', by: undefined }]);
    expect(connection.heldKeys).toEqual(['patient/2']);
  });

  test('a lock given up while there was no connection is given back after it', async () => {
    const first = register();
    await lock(first, 'patient/1');
    first.onclose?.();
    await connection.unlock('patient/1');
    vi.advanceTimersByTime(250);
    const second = enter('resume', { held: [{ key: 'patient/1', token: '7' }] });
    expect(second.last('unlock')).toMatchObject({ keys: ['patient/1'] });
    expect(connection.heldKeys).toEqual([]);
  });

  test('a request whose reply was lost is repeated under the same name', async () => {
    const first = register();
    const granted = connection.lock('patient/1');
    const asked = first.last('lock');
    first.onclose?.();
    vi.advanceTimersByTime(250);
    const second = enter('resume', { held: [{ key: 'patient/1', token: '7' }] });
    expect(second.last('lock')).toMatchObject({ request: asked['request'], keys: ['patient/1'] });
    expect(second.count('unlock')).toBe(0);
    second.hear({ re: second.last('lock').id, ok: true, token: '7', keys: ['patient/1'] });
    expect(await granted).toBe('7');
  });

  test('a reloaded page goes on with session and locks from storage, another user does not', async () => {
    await lock(register(), 'patient/1');
    make(); // the reloaded page
    connection.start(ANNA);
    browser.socket.onopen?.();
    expect(browser.socket.last('resume')).toMatchObject({ session: '17', reclaim: [{ key: 'patient/1', token: '7' }] });
    make();
    connection.start({ ...ANNA, user: 'bernd' });
    browser.socket.onopen?.();
    expect(browser.socket.said[0]?.op).toBe('register');
  });
});

describe('locks and events', () => {
  test('a held record is refused with its holder', async () => {
    const socket = register();
    const refused = connection.lock('patient/1');
    const holder = { key: 'patient/1', workstation: 'Labor', user: 'bernd' };
    socket.hear({ re: socket.last('lock').id, ok: false, error: { code: 'held', message: 'held', holder } });
    await expect(refused).rejects.toMatchObject({ code: 'held', holder });
    expect(connection.heldKeys).toEqual([]);
  });

  test('a broken lock is told with who broke it', async () => {
    const socket = register();
    await lock(socket, 'patient/1');
    socket.hear({ event: 'lock.lost', keys: ['patient/1'], reason: 'broken', by: 'chef' });
    expect(lost).toEqual([{ keys: ['patient/1'], reason: 'broken', by: 'chef' }]);
    expect(browser.saved?.held).toEqual([]);
  });

  test('a snapshot moves the cursor and is handed on', () => {
    register().hear({ event: 'snapshot', reason: 'history_changed', cursor: { history: 'h2', csn: '1' } });
    expect(browser.saved?.cursor).toEqual({ history: 'h2', csn: '1' });
    expect(events).toHaveLength(1);
  });

  test('without a connection a request fails at once', async () => {
    await expect(connection.lock('patient/1')).rejects.toMatchObject({ code: 'not_reachable' });
  });

  test('what is no JSON and replies that nobody waits for are passed over', () => {
    const socket = register();
    socket.onmessage?.('not json');
    socket.onmessage?.('17');
    socket.hear({ re: 'x', ok: true });
    expect(connection.view.phase).toBe('online');
  });

  test('logging out says goodbye and forgets the session', () => {
    const socket = register();
    connection.stop();
    expect(socket.said.at(-1)?.op).toBe('goodbye');
    expect(browser.saved).toBeNull();
    vi.advanceTimersByTime(600_000);
    expect(browser.sockets).toHaveLength(1);
  });

  test('the view is told only when it changes', () => {
    register();
    const before = views.length;
    live(20);
    expect(views).toHaveLength(before);
  });
});
