/**
 * A small node for the tests of the page: REST and /ws as documented, everything in memory, no database.
 *
 * It is no second implementation: one mode, no waiting locks, no resume over a restart. Times are short so that tests
 * of loss and resume end soon. `change`, `remove` and `bulk` act as the database would.
 */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { WebSocketServer } from 'ws';

const CONTENT = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const HISTORY = '0123456789abcdef0123456789abcdef';

export class MockNode {
  /** @param {{dist?: string, patients?: number, users?: Record<string, {password: string, role: string}>, times?: object}} options */
  constructor({ dist = '', patients = 1200, users, times = {} } = {}) {
    this.dist = dist;
    this.url = '';
    this.webSockets = new WebSocketServer({ noServer: true, maxPayload: 1 << 20 });
    this.users = users ?? {
      anna: { password: 'anna-geheim', role: 'administrator' },
      bernd: { password: 'bernd-geheim', role: 'staff' },
    };
    this.times = { heartbeat_ms: 1000, suspect_ms: 2500, lease_ms: 6000, reconnect_ms: 7000, jitter_ms: 100, ...times };
    this.records = new Map();
    for (let n = 1; n <= patients; n += 1) this.records.set(`patient/${n}`, patient(n));
    this.cookies = new Map();
    this.sessions = new Map();
    this.locks = new Map();
    this.csn = 1099511627776n;
    this.nextSession = 1;
    this.nextToken = 281474976710656n;
  }

  async listen(port = 0) {
    this.http = createServer((request, response) => {
      this.serve(request, response).catch((error) => answer(response, 500, failure('internal', String(error))));
    });
    this.http.on('upgrade', (request, socket, head) => {
      const user = this.userOf(request);
      if (!user) return socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n');
      this.webSockets.handleUpgrade(request, socket, head, (ws) => this.attach(ws, user, socket.remoteAddress ?? ''));
    });
    await new Promise((resolve) => this.http.listen(port, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.http.address().port}`;
    return this.url;
  }

  async close() {
    for (const session of this.sessions.values()) clearTimeout(session.window);
    for (const ws of this.webSockets.clients) ws.terminate();
    this.http.closeAllConnections();
    await new Promise((resolve) => this.http.close(resolve));
  }

  // ---- as the database would --------------------------------------------------------------------------------

  change(key, fields) {
    const op = this.records.has(key) ? 'update' : 'insert';
    const record = { ...(this.records.get(key) ?? patient(Number(key.split('/')[1]))), ...fields };
    record.group = group(record.label);
    this.records.set(key, record);
    this.announce([{ key, op, tables: [] }]);
  }
  remove(key) {
    this.records.delete(key);
    this.announce([{ key, op: 'delete' }]);
  }
  bulk(keys) {
    for (const key of keys) this.records.delete(key);
    this.csn += 1n;
    this.tellAll({ event: 'changes', ...this.cursor(), changes: [], bulk: [{ type: 'patient', count: keys.length }] });
  }
  announce(changes) {
    this.csn += 1n;
    this.tellAll({ event: 'changes', ...this.cursor(), lsn: '0/1', time: new Date().toISOString(), by: { how: 'unknown' }, changes });
  }
  cursor() {
    return { history: HISTORY, csn: String(this.csn) };
  }

  // ---- HTTP -------------------------------------------------------------------------------------------------

  userOf(request) {
    const match = /(?:^|;\s*)verbund=([0-9a-f]+)/.exec(request.headers.cookie ?? '');
    return match ? this.cookies.get(match[1]) : undefined;
  }

  async serve(request, response) {
    const url = new URL(request.url, 'http://mock');
    if (!url.pathname.startsWith('/api/')) return this.file(url.pathname, response);
    if (request.method === 'POST' && request.headers['x-verbund'] !== '1') {
      return answer(response, 403, failure('forbidden', 'header X-Verbund is missing'));
    }
    if (url.pathname === '/api/login') return this.login(request, response);
    const user = this.userOf(request);
    if (!user) return answer(response, 401, failure('unauthenticated', 'not logged in'));
    if (url.pathname === '/api/logout') {
      response.setHeader('set-cookie', 'verbund=; Path=/; Max-Age=0');
      return answer(response, 200, {});
    }
    if (url.pathname === '/api/session') return answer(response, 200, { user, role: this.users[user].role });
    if (url.pathname === '/api/types') return answer(response, 200, { types: [{ type: 'patient', label: 'Patienten' }] });
    if (url.pathname === '/api/records/patient') return answer(response, 200, this.list(url.searchParams));
    const key = url.pathname.replace('/api/records/', '');
    const record = this.records.get(key);
    if (!record) return answer(response, 404, failure('not_found', `${key} does not exist`));
    return answer(response, 200, { key, label: record.label, tables: tables(key, record), cursor: this.cursor() });
  }

  async login(request, response) {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { user, password } = JSON.parse(body);
    if (this.users[user]?.password !== password) {
      return answer(response, 401, failure('unauthenticated', 'user or password are wrong'));
    }
    const cookie = randomBytes(32).toString('hex');
    this.cookies.set(cookie, user);
    response.setHeader('set-cookie', `verbund=${cookie}; Path=/; HttpOnly; SameSite=Strict`);
    return answer(response, 200, { user, role: this.users[user].role });
  }

  list(query) {
    const row = ([key, { label, group: letter }]) => ({ key, label, group: letter });
    const all = [...this.records].map(row);
    const base = { total: all.length, cursor: this.cursor(), next: null };
    const keys = query.get('keys')?.split('\n');
    if (keys) return { ...base, records: all.filter(({ key }) => keys.includes(key)) };
    const from = Number(query.get('after') ?? 0);
    const to = from + Number(query.get('limit') ?? 5000);
    return { ...base, records: all.slice(from, to), next: to < all.length ? String(to) : null };
  }

  async file(path, response) {
    const name = normalize(path === '/' ? '/index.html' : path);
    try {
      const body = await readFile(join(this.dist, name));
      response.writeHead(200, {
        'content-type': CONTENT[extname(name)] ?? 'application/octet-stream',
        'content-security-policy': "default-src 'self'",
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  }

  // ---- the protocol -------------------------------------------------------------------------------------------

  attach(ws, user, address) {
    const link = { ws, user, address, session: null };
    ws.on('message', (data) => this.handle(link, JSON.parse(String(data))));
    ws.on('close', () => {
      if (link.session?.link === link) this.startWindow(link.session);
    });
  }

  startWindow(session) {
    session.link = null;
    session.state = 'reconnecting';
    this.tellAll({ event: 'session.state', session: session.id, state: 'reconnecting' });
    session.window = setTimeout(() => this.leave(session, 'lost'), this.times.reconnect_ms);
  }

  leave(session, reason) {
    this.sessions.delete(session.id);
    this.release([...this.locks.values()].filter((lock) => lock.session === session.id).map((lock) => lock.key), session.id);
    this.tellAll({ event: 'session.left', session: session.id, workstation: session.workstation, user: session.user, reason });
  }

  handle(link, message) {
    const reply = (body) => send(link.ws, { re: message.id, ...body });
    if (message.op === 'register') return this.register(link, message, reply);
    if (message.op === 'resume') return this.resume(link, message, reply);
    const session = link.session;
    if (!session) return reply({ ok: false, ...failure('not_registered', 'register first') });
    switch (message.op) {
      case 'beat':
        if (this.deaf) return undefined;
        return reply({ ok: true, cursor: this.cursor() });
      case 'goodbye':
        link.session = null;
        this.leave(session, 'goodbye');
        reply({ ok: true });
        return link.ws.close();
      case 'lock':
        return this.lock(session, message, reply);
      case 'unlock':
        this.release(message.keys, session.id);
        return reply({ ok: true });
      case 'tell':
        return reply({ ok: true, delivered: this.tell(session, message) });
      default:
        return reply({ ok: false, ...failure('unknown_op', `unknown operation ${message.op}`) });
    }
  }

  register(link, message, reply) {
    const session = {
      id: String(this.nextSession++), secret: randomBytes(32).toString('hex'), link, user: link.user, address: link.address,
      workstation: message.workstation, app: message.app, kind: 'workstation', since: new Date().toISOString(), state: 'active',
    };
    link.session = session;
    this.sessions.set(session.id, session);
    reply({ ok: true, welcome: this.welcome(session, false) });
    this.tellAll({ event: 'session.joined', session: view(session) }, session);
  }

  resume(link, message, reply) {
    const session = this.sessions.get(message.session);
    if (!session || session.secret !== message.secret) {
      return reply({ ok: false, ...failure('unknown_session', 'the session has ended') });
    }
    clearTimeout(session.window);
    if (session.link) {
      send(session.link.ws, { event: 'closing', reason: 'superseded' });
      session.link.ws.close();
    }
    Object.assign(session, { link, state: 'active' });
    link.session = session;
    const held = [...this.locks.values()].filter((lock) => lock.session === session.id).map(({ key, token }) => ({ key, token }));
    const lost = message.reclaim.filter(({ key }) => !held.some((lock) => lock.key === key)).map(({ key }) => ({ key, reason: 'expired' }));
    reply({ ok: true, welcome: { ...this.welcome(session, true), held, lost } });
    if (message.cursor.csn !== String(this.csn)) send(link.ws, { event: 'snapshot', reason: 'cursor_too_old', cursor: this.cursor() });
    return this.tellAll({ event: 'session.state', session: session.id, state: 'active' });
  }

  welcome(session, resumed) {
    return {
      session: session.id, secret: session.secret, resumed, node: 'mock', version: '0', epoch: { term: 1, start: 1 },
      mode: 'Shared', user: session.user, role: this.users[session.user].role, cursor: this.cursor(), ...this.times,
      servers: [], types: ['patient'], sessions: [...this.sessions.values()].map(view), locks: [...this.locks.values()],
    };
  }

  lock(session, message, reply) {
    const holder = message.keys.map((key) => this.locks.get(key)).find((lock) => lock && lock.session !== session.id);
    if (holder) return reply({ ok: false, error: { code: 'held', message: `${holder.key} is held`, holder } });
    const token = String(this.nextToken++);
    const { user, workstation, address } = session;
    const locks = message.keys.map((key) => ({
      key, token, session: session.id, workstation, user, address, since: new Date().toISOString(), state: 'held', waiting: 0,
    }));
    for (const lock of locks) this.locks.set(lock.key, lock);
    reply({ ok: true, token, keys: message.keys, tokens: Object.fromEntries(message.keys.map((key) => [key, token])), lease_ms: this.times.lease_ms });
    return this.tellAll({ event: 'lock.granted', locks });
  }

  release(keys, session) {
    const freed = keys.filter((key) => this.locks.get(key)?.session === session);
    for (const key of freed) this.locks.delete(key);
    if (freed.length > 0) this.tellAll({ event: 'lock.released', keys: freed, session });
  }

  tell(session, { to, text }) {
    const targets = [...this.sessions.values()].filter(
      (other) => other !== session && (to === '*' || [other.id, other.workstation, other.user].includes(to)),
    );
    for (const { link } of targets) {
      if (link) send(link.ws, { event: 'message', from: view(session), to, text, at: new Date().toISOString() });
    }
    return targets.length;
  }

  tellAll(event, except) {
    for (const session of this.sessions.values()) if (session !== except && session.link) send(session.link.ws, event);
  }
}

function send(ws, message) {
  ws.send(JSON.stringify(message));
}
function answer(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
function failure(code, message) {
  return { error: { code, message } };
}
function view({ id, workstation, user, address, app, kind, since, state }) {
  return { session: id, workstation, user, address, app, kind, since, state };
}
function group(label) {
  return label[0].normalize('NFD')[0].toUpperCase();
}

const FAMILIES = 'Müller Schmidt Özdemir Schröder Ahrens Bäcker Groß Jäger Keßler Lüdtke Nowak Weiß Zöllner Ünal Petersen Thießen Ebert Franke Ißler Çelik Quast Ritter Öhler Ullmann Voß Yıldız Xaver Dörfler Hübner'.split(' ');
const GIVEN = 'Anna Jürgen Zoë Björn Käthe Ömer Luise Günther Friederike Paul Ayşe Sören Hannelore Emil'.split(' ');

function patient(n) {
  const family = FAMILIES[(n * 7) % FAMILIES.length];
  const born = `${String(1 + (n % 28)).padStart(2, '0')}.${String(1 + (n % 12)).padStart(2, '0')}.${1930 + (n % 90)}`;
  const label = `${family}, ${GIVEN[(n * 5) % GIVEN.length]} (${born})`;
  return { label, group: group(label) };
}

function tables(key, record) {
  const [family, rest] = record.label.split(', ');
  return [
    { name: 'patient', columns: ['id', 'family', 'given', 'city', 'note'], rows: [[key.split('/')[1], family, rest ?? '', 'Köln', null]] },
    {
      name: 'observation',
      columns: ['id', 'effective', 'code', 'value', 'unit'],
      rows: [
        ['9001', '2026-03-02 08:15', 'Blutdruck systolisch', '142', 'mmHg'],
        ['9002', '2026-03-02 08:15', 'Blutdruck diastolisch', '88', 'mmHg'],
        ['9003', '2026-05-18 09:40', 'Körpergewicht', '81.4', 'kg'],
      ],
    },
    { name: 'medication', columns: ['id', 'substance', 'dose', 'since'], rows: [['551', 'Ramipril', '5 mg 1-0-0', '2024-11-05']] },
    { name: 'condition', columns: ['id', 'code', 'text', 'onset'], rows: [] },
  ];
}
