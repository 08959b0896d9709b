/** Connects connection.ts to a real browser. */
import type { Saved, SocketLike, Surroundings } from './connection';

const SESSION_KEY = 'verbund.session';
const WORKSTATION_KEY = 'verbund.workstation';
const CLAIM_MS = 500;

function openSocket(port: number | null): SocketLike {
  const host = port === null ? location.host : `${location.hostname}:${port}`;
  const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${host}/ws`);
  const like: SocketLike = {
    send: (text) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
    close: () => socket.close(),
    onopen: null,
    onmessage: null,
    onclose: null,
  };
  socket.onopen = () => like.onopen?.();
  socket.onmessage = (event) => like.onmessage?.(String(event.data));
  socket.onclose = () => like.onclose?.();
  return like;
}

function load(): Saved | null {
  const text = sessionStorage.getItem(SESSION_KEY);
  return text === null ? null : (JSON.parse(text) as Saved);
}

export const surroundings: Surroundings = {
  openSocket,
  wall: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, then) => window.setTimeout(then, ms),
  cancel: (timer) => {
    if (timer !== undefined) window.clearTimeout(timer as number);
  },
  random: () => Math.random(),
  load,
  save: (saved) => {
    if (saved) sessionStorage.setItem(SESSION_KEY, JSON.stringify(saved));
    else sessionStorage.removeItem(SESSION_KEY);
  },
};

/**
 * A duplicated tab starts with a copy of sessionStorage; resuming from it would throw the first tab out. A Web Lock
 * that lives as long as the page tells the two apart. Without Web Locks (plain HTTP to another machine) the newer tab wins.
 */
export async function forgetCopiedSession(): Promise<void> {
  const saved = load();
  const locks = (navigator as Partial<Navigator>).locks;
  if (!saved || !locks) return;
  const mine = await claimSession(saved.session);
  if (!mine) surroundings.save(null);
}

const claimed = new Set<string>();

/** Resolves to false when another tab of this browser lives in that session. */
export function claimSession(session: string): Promise<boolean> {
  const locks = (navigator as Partial<Navigator>).locks;
  if (!locks || claimed.has(session)) return Promise.resolve(true);
  return new Promise((resolve) => {
    // On a reload the page before this one may need a moment to let go.
    const options = { signal: AbortSignal.timeout(CLAIM_MS) };
    const claim = locks.request(`verbund-session-${session}`, options, () => {
      claimed.add(session);
      resolve(true);
      return new Promise<never>(() => undefined); // held until the page goes
    });
    claim.catch(() => resolve(false));
  });
}

export function workstationName(): string {
  const stored = localStorage.getItem(WORKSTATION_KEY);
  if (stored) return stored;
  const name = `Browser ${Math.floor(Math.random() * 9000 + 1000)}`;
  localStorage.setItem(WORKSTATION_KEY, name);
  return name;
}

export function renameWorkstation(name: string): void {
  localStorage.setItem(WORKSTATION_KEY, name);
}
