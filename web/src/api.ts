/** The REST resources of docs/protocol that the page uses. Same origin; the cookie `verbund` says who asks. */
import { ProtocolError, type Cursor, type ProtocolErrorBody } from './protocol';

export interface Account {
  user: string;
  role: string;
}

export interface RecordRow {
  key: string;
  label: string;
  group: string;
}

export interface RecordPage {
  records: RecordRow[];
  next: string | null;
  total: number;
  cursor: Cursor;
}

export interface RecordTable {
  name: string;
  columns: string[];
  rows: (string | null)[][];
  /** There are more rows than these. */
  more?: boolean;
}

export interface RecordDetail {
  key: string;
  label: string;
  tables: RecordTable[];
  cursor: Cursor;
}

const PAGE_ROWS = 5000;
/** Keys stand in the address; a hundred with UUIDs stay well below the 8 KiB that servers take as a header. */
export const MAX_KEYS = 100;

async function call<T>(path: string, init: RequestInit = {}): Promise<T> {
  let response: Response;
  try {
    // The language that was chosen on the page, not the browser's: errors are said in it.
    const headers = new Headers(init.headers);
    headers.set('accept-language', document.documentElement.lang);
    response = await fetch(path, { credentials: 'same-origin', ...init, headers });
  } catch {
    throw new ProtocolError({ code: 'not_reachable', message: `${path}: no answer` });
  }
  const body: unknown = await response.json().catch(() => null);
  if (response.ok) return body as T;
  const error = (body as { error?: ProtocolErrorBody } | null)?.error;
  throw new ProtocolError(error ?? { code: codeOf(response.status), message: `${path}: HTTP ${response.status}` });
}

function codeOf(status: number): string {
  if (status === 401) return 'unauthenticated';
  if (status === 404) return 'not_found';
  return status === 429 ? 'rate_limited' : 'internal';
}

function post<T>(path: string, body: unknown): Promise<T> {
  return call<T>(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-verbund': '1' }, // a foreign page can't set it: no forged calls
    body: JSON.stringify(body),
  });
}

export const logIn = (user: string, password: string): Promise<Account> => post('/api/login', { user, password });
export const logOut = (): Promise<unknown> => post('/api/logout', {});
export const whoAmI = (): Promise<Account> => call('/api/session');

export function recordTypes(): Promise<{ types: { type: string; label: string }[] }> {
  return call('/api/types');
}

export function recordPage(type: string, after: string | null): Promise<RecordPage> {
  const query = new URLSearchParams({ limit: String(PAGE_ROWS) });
  if (after !== null) query.set('after', after);
  return call(`/api/records/${encodeURIComponent(type)}?${query.toString()}`);
}

/** One key a line: ids may hold any printable character. The rows of those of `keys` (at most MAX_KEYS) that exist. */
export async function recordRows(type: string, keys: string[]): Promise<RecordRow[]> {
  const query = new URLSearchParams({ keys: keys.join('\n') });
  const page = await call<RecordPage>(`/api/records/${encodeURIComponent(type)}?${query.toString()}`);
  return page.records;
}

export function recordDetail(key: string): Promise<RecordDetail> {
  const slash = key.indexOf('/');
  return call(`/api/records/${encodeURIComponent(key.slice(0, slash))}/${encodeURIComponent(key.slice(slash + 1))}`);
}
