import { describe, expect, test } from 'vitest';
import { EMPTY_OFFICE, follow } from './office';
import type { Lock, Session } from './protocol';

const session = (id: string): Session => ({
  session: id, workstation: `Platz ${id}`, user: 'anna', address: '192.0.2.7', app: '', kind: 'workstation', since: '', state: 'active',
});
const lock = (key: string, holder: string): Lock => ({
  key, token: '1', session: holder, workstation: '', user: '', address: '', since: '', state: 'held', waiting: 0,
});

describe('office', () => {
  test('who leaves takes the own locks along and nobody else’s', () => {
    let office = follow(EMPTY_OFFICE, { event: 'session.joined', session: session('1') });
    office = follow(office, { event: 'lock.granted', locks: [lock('patient/1', '1'), lock('patient/2', '2')] });
    office = follow(office, { event: 'session.left', session: '1', workstation: '', user: '', reason: 'lost' });
    expect([...office.sessions.keys()]).toEqual([]);
    expect([...office.locks.keys()]).toEqual(['patient/2']);
  });

  test('a state of an unknown session changes nothing', () => {
    expect(follow(EMPTY_OFFICE, { event: 'session.state', session: '9', state: 'suspect' })).toBe(EMPTY_OFFICE);
  });

  test('the feed’s state and alarm are kept until the next word', () => {
    const stopped = follow(EMPTY_OFFICE, { event: 'feed', state: 'stopped', reason: 'slot lost' });
    expect(stopped.feed).toMatchObject({ state: 'stopped', reason: 'slot lost' });
    const alarmed = follow(stopped, { event: 'feed', state: 'running', alarm: 'WAL', alarm_de: 'Log' });
    expect(alarmed.feed).toEqual({ event: 'feed', state: 'running', alarm: 'WAL', alarm_de: 'Log' });
    expect(follow(alarmed, { event: 'feed', state: 'running' }).feed.alarm).toBeUndefined();
  });
});
