/** What the page knows and does, without any of its looks: connection, office, record list, the open record. */
import { recordDetail, recordPage, recordRows, type Account, type RecordDetail } from './api';
import { asProtocolError, Connection, type ConnectionView, type Surroundings } from './connection';
import { addLock, EMPTY_OFFICE, enter, follow, type Office } from './office';
import type { Lock, LostReason, NodeEvent, ProtocolError, Session, Welcome } from './protocol';
import { RecordList, type ListView } from './record_list';

export interface OpenRecord {
  key: string;
  detail: RecordDetail | null;
  error: ProtocolError | null;
  asking: boolean;
  deleted: boolean;
  /** Set when this page held the lock and lost it. */
  lost: { reason: LostReason; by?: string | undefined; text?: string | undefined } | null;
}

export type LockState =
  | { kind: 'mine' }
  | { kind: 'asking' }
  | { kind: 'held'; holder: Lock }
  | { kind: 'lost'; reason: LostReason; by?: string | undefined; text?: string | undefined }
  | { kind: 'free' };

export type Notice =
  | { kind: 'message'; from: Session; to: string; text: string; at: string }
  | { kind: 'sent'; delivered: number }
  | { kind: 'error'; error: ProtocolError }
  | { kind: 'gone'; workstation: string; user: string }
  | { kind: 'refused'; holder: Lock };

export interface WorkplaceView {
  connection: ConnectionView;
  office: Office;
  list: ListView;
  open: OpenRecord | null;
  lock: LockState;
}

export class Workplace {
  readonly connection: Connection;
  private readonly list: RecordList;
  private office: Office = EMPTY_OFFICE;
  private open: OpenRecord | null = null;
  private readonly watchers = new Set<() => void>();
  private snapshot: WorkplaceView;

  constructor(
    around: Surroundings,
    type: string,
    private readonly notify: (notice: Notice) => void,
  ) {
    this.connection = new Connection(around);
    this.list = new RecordList(type, { page: recordPage, rows: recordRows }, () => this.show());
    this.snapshot = this.build();
    this.connection.listen({
      view: () => this.show(),
      welcome: (welcome) => this.welcomed(welcome),
      event: (event) => this.happened(event),
      lost: (keys, reason, by, text) => this.lostLocks(keys, reason, by, text),
    });
  }

  readonly subscribe = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  };
  readonly view = (): WorkplaceView => this.snapshot;

  start(account: Account, workstation: string, lang: string): void {
    this.connection.start({ user: account.user, workstation, lang });
  }

  stop(): void {
    this.open = null;
    this.connection.stop();
  }

  suspend(): void {
    this.connection.suspend();
  }

  reload(): void {
    void this.list.load();
  }

  /** Opening a record locks it. Somebody else's stays readable unless the office forbids that. */
  async openRecord(key: string): Promise<void> {
    if (this.open?.key === key) return;
    const holder = this.office.locks.get(key);
    const readable = this.connection.view.welcome?.read_while_locked ?? true;
    if (holder && holder.session !== this.office.me && !readable) return this.notify({ kind: 'refused', holder });
    this.closeRecord();
    this.open = { key, detail: null, error: null, asking: false, deleted: false, lost: null };
    this.show();
    await Promise.all([this.loadDetail(key), this.lockOpen()]);
  }

  closeRecord(): void {
    const open = this.open;
    this.open = null;
    if (open && this.holds(open.key)) this.giveBack(open.key);
    this.show();
  }

  async lockOpen(): Promise<void> {
    const key = this.open?.key;
    if (key === undefined || this.holds(key) || this.connection.view.phase !== 'online') return;
    this.changeOpen(key, { asking: true, lost: null });
    try {
      await this.connection.lock(key);
      if (this.open?.key !== key) this.giveBack(key); // another record was opened meanwhile
    } catch (failure) {
      const error = asProtocolError(failure);
      if (error.holder) this.office = addLock(this.office, error.holder);
      else if (error.code !== 'not_reachable') this.notify({ kind: 'error', error });
    }
    this.changeOpen(key, { asking: false });
    this.show();
  }

  async tell(to: string, text: string): Promise<void> {
    try {
      this.notify({ kind: 'sent', delivered: await this.connection.tell(to, text) });
    } catch (failure) {
      this.notify({ kind: 'error', error: asProtocolError(failure) });
      throw failure;
    }
  }

  private giveBack(key: string): void {
    this.connection.unlock(key).catch((failure: unknown) => {
      const error = asProtocolError(failure);
      if (error.code !== 'not_reachable') this.notify({ kind: 'error', error });
    });
  }

  private async loadDetail(key: string): Promise<void> {
    try {
      const detail = await recordDetail(key);
      this.changeOpen(key, { detail, error: null, deleted: false });
    } catch (failure) {
      const error = asProtocolError(failure);
      if (error.code === 'not_found') this.changeOpen(key, { deleted: true });
      else this.changeOpen(key, { error });
    }
  }

  private welcomed(welcome: Welcome): void {
    this.office = enter(welcome);
    const held = this.connection.heldKeys[0];
    if (!this.open && held !== undefined) {
      this.open = { key: held, detail: null, error: null, asking: false, deleted: false, lost: null };
    }
    if (this.open) void this.loadDetail(this.open.key);
    const known = this.list.view.records.length > 0 && !this.list.view.error;
    if (!welcome.resumed || !known) void this.list.load();
    this.show();
  }

  private happened(event: NodeEvent): void {
    this.office = follow(this.office, event);
    void this.list.follow(event);
    if (event.event === 'changes' || event.event === 'snapshot') this.refreshOpen(event);
    if (event.event === 'message') this.notify({ ...event, kind: 'message' });
    if (event.event === 'session.left' && event.reason === 'lost') this.notify({ ...event, kind: 'gone' });
    this.show();
  }

  private refreshOpen(event: NodeEvent): void {
    const key = this.open?.key;
    if (key === undefined) return;
    const type = key.slice(0, key.indexOf('/'));
    const touched =
      event.event !== 'changes' ||
      event.changes?.some((change) => change.key === key || change.was === key) ||
      event.bulk?.some((bulk) => bulk.type === type) ||
      event.truncated?.includes(type);
    if (touched) void this.loadDetail(key);
  }

  private lostLocks(keys: string[], reason: LostReason, by?: string, text?: string): void {
    if (this.open && keys.includes(this.open.key)) this.changeOpen(this.open.key, { lost: { reason, by, text } });
  }

  private holds(key: string): boolean {
    return this.connection.heldKeys.includes(key);
  }

  private changeOpen(key: string, change: Partial<OpenRecord>): void {
    if (this.open?.key !== key) return;
    this.open = { ...this.open, ...change };
    this.show();
  }

  private lockState(): LockState {
    if (!this.open) return { kind: 'free' };
    if (this.holds(this.open.key)) return { kind: 'mine' };
    const holder = this.office.locks.get(this.open.key);
    if (holder && holder.session !== this.office.me) return { kind: 'held', holder };
    if (this.open.asking) return { kind: 'asking' };
    if (this.open.lost) return { kind: 'lost', ...this.open.lost };
    return { kind: 'free' };
  }

  private build(): WorkplaceView {
    return {
      connection: this.connection.view, office: this.office, list: this.list.view, open: this.open, lock: this.lockState(),
    };
  }

  private show(): void {
    this.snapshot = this.build();
    this.watchers.forEach((watcher) => watcher());
  }
}
