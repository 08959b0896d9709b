/** The connection over a real WebSocket against the mock node of the end-to-end tests, so that both stay in step. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { MockNode } from '../e2e/mock-node.mjs';
import { Connection, type Saved, type SocketLike, type Surroundings } from './connection';

let node: MockNode;
let connections: Connection[];

beforeEach(async () => {
  node = new MockNode({ patients: 3, times: { jitter_ms: 10 } });
  await node.listen();
  connections = [];
});
afterEach(async () => {
  connections.forEach((connection) => connection.stop());
  await node.close();
});

async function cookie(): Promise<string> {
  const reply = await fetch(`${node.url}/api/login`, {
    method: 'POST', headers: { 'x-verbund': '1' }, body: JSON.stringify({ user: 'anna', password: 'anna-geheim' }),
  });
  return reply.headers.get('set-cookie')?.split(';')[0] ?? '';
}

async function connect(workstation: string): Promise<Connection> {
  const headers = { cookie: await cookie() };
  let saved: Saved | null = null;
  const around: Surroundings = {
    openSocket: () => {
      const socket = new WebSocket(node.url.replace('http', 'ws') + '/ws', { headers });
      const like: SocketLike = {
        send: (text) => socket.send(text), close: () => socket.close(), onopen: null, onmessage: null, onclose: null,
      };
      socket.on('open', () => like.onopen?.());
      socket.on('message', (data) => like.onmessage?.(String(data)));
      socket.on('close', () => like.onclose?.());
      socket.on('error', () => undefined); // a close follows
      return like;
    },
    wall: () => Date.now(), monotonic: () => performance.now(), after: (ms, then) => setTimeout(then, ms),
    cancel: (timer) => clearTimeout(timer as NodeJS.Timeout), random: () => 0.5, load: () => saved,
    save: (next) => {
      saved = next;
    },
  };
  const connection = new Connection(around);
  connections.push(connection);
  connection.start({ user: 'anna', workstation, lang: 'de' });
  await vi.waitFor(() => expect(connection.view.phase).toBe('online'));
  return connection;
}

describe('over a real socket', () => {
  test('one holds, the other is told who', async () => {
    const a = await connect('Empfang');
    const b = await connect('Labor');
    await a.lock('patient/1');
    await expect(b.lock('patient/1')).rejects.toMatchObject({ code: 'held', holder: { workstation: 'Empfang' } });
    await a.unlock('patient/1');
    await b.lock('patient/1');
  });

  test('a torn socket is resumed with its lock', async () => {
    const a = await connect('Empfang');
    const session = a.view.welcome?.session;
    await a.lock('patient/1');
    for (const socket of node.webSockets.clients) socket.terminate();
    await vi.waitFor(() => expect(a.view).toMatchObject({ phase: 'online', welcome: { resumed: true, session } }));
    expect(a.heldKeys).toEqual(['patient/1']);
  });
});
