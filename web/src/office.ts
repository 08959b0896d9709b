/** Who is here and what is locked, as the node's events tell. Pure: each step makes a new value. */
import type { Lock, NodeEvent, Session, Welcome } from './protocol';

export type FeedState = Extract<NodeEvent, { event: 'feed' }>;

export interface Office {
  me: string | null;
  sessions: ReadonlyMap<string, Session>;
  locks: ReadonlyMap<string, Lock>;
  feed: FeedState;
}

/** Until the node says otherwise: after a welcome it does at once. */
const WELL: FeedState = { event: 'feed', state: 'running' };
export const EMPTY_OFFICE: Office = { me: null, sessions: new Map(), locks: new Map(), feed: WELL };

export function enter(welcome: Welcome): Office {
  return {
    me: welcome.session,
    sessions: new Map((welcome.sessions ?? []).map((session) => [session.session, session])),
    locks: new Map((welcome.locks ?? []).map((lock) => [lock.key, lock])),
    feed: WELL,
  };
}

export function addLock(office: Office, lock: Lock): Office {
  return { ...office, locks: new Map(office.locks).set(lock.key, lock) };
}

export function follow(office: Office, event: NodeEvent): Office {
  switch (event.event) {
    case 'session.joined':
      return { ...office, sessions: new Map(office.sessions).set(event.session.session, event.session) };
    case 'session.state': {
      const session = office.sessions.get(event.session);
      if (!session) return office;
      return { ...office, sessions: new Map(office.sessions).set(event.session, { ...session, state: event.state }) };
    }
    case 'session.left':
      return withoutSession(office, event.session);
    case 'lock.granted': {
      const locks = new Map(office.locks);
      for (const lock of event.locks) locks.set(lock.key, lock);
      return { ...office, locks };
    }
    case 'lock.released':
      return { ...office, locks: withoutKeys(office.locks, new Set(event.keys)) };
    case 'feed':
      return { ...office, feed: event };
    default:
      return office;
  }
}

function withoutSession(office: Office, gone: string): Office {
  const sessions = new Map(office.sessions);
  sessions.delete(gone);
  const keys = [...office.locks.values()].filter((lock) => lock.session === gone).map((lock) => lock.key);
  return { ...office, sessions, locks: withoutKeys(office.locks, new Set(keys)) };
}

function withoutKeys(locks: ReadonlyMap<string, Lock>, keys: ReadonlySet<string>): ReadonlyMap<string, Lock> {
  return new Map([...locks].filter(([key]) => !keys.has(key)));
}
