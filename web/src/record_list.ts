/** Keeps the list of one record type in step with the node: loads it in pages, then fetches what changed. */
import { MAX_KEYS, type RecordPage, type RecordRow } from './api';
import { asProtocolError } from './connection';
import type { NodeEvent, ProtocolError } from './protocol';
import { compare, refresh, treeRecord, type TreeRecord } from './tree';

export interface ListView {
  records: readonly TreeRecord[];
  loading: boolean;
  /** While loading: how many have come, of how many. */
  loaded: number;
  total: number;
  error: ProtocolError | null;
  /** Keys of the last refresh, to show a person what has just changed. */
  touched: ReadonlySet<string>;
}

export interface RecordSource {
  page(type: string, after: string | null): Promise<RecordPage>;
  rows(type: string, keys: string[]): Promise<RecordRow[]>;
}

export class RecordList {
  private state: ListView = { records: [], loading: false, loaded: 0, total: 0, error: null, touched: new Set() };
  private readonly dirty = new Set<string>();
  private generation = 0;
  private fetching = false;

  constructor(
    readonly type: string,
    private readonly source: RecordSource,
    private readonly changed: () => void,
  ) {}

  get view(): ListView {
    return this.state;
  }

  /** Reads everything. A later call overtakes an earlier one. */
  async load(): Promise<void> {
    const generation = ++this.generation;
    this.dirty.clear();
    const keepOld = this.state.records.length > 0;
    this.show({ loading: true, loaded: 0, total: 0, error: null });
    try {
      let rows: TreeRecord[] = [];
      let after: string | null = null;
      do {
        const page: RecordPage = await this.source.page(this.type, after);
        if (generation !== this.generation) return;
        rows = rows.concat(page.records.map(treeRecord)).sort(compare);
        after = page.next;
        this.show({ loaded: rows.length, total: page.total, ...(keepOld ? {} : { records: rows }) });
      } while (after !== null);
      this.show({ records: rows, loading: false, touched: new Set() });
      await this.fetchDirty();
    } catch (error) {
      if (generation === this.generation) this.show({ loading: false, error: asProtocolError(error) });
    }
  }

  async follow(event: NodeEvent): Promise<void> {
    if (event.event === 'snapshot') return this.load();
    if (event.event !== 'changes') return;
    const reload = event.bulk?.some(({ type }) => type === this.type) || event.truncated?.includes(this.type);
    if (reload) return this.load();
    for (const { key, was } of event.changes ?? []) {
      for (const touched of [key, was]) if (touched?.startsWith(`${this.type}/`)) this.dirty.add(touched);
    }
    await this.fetchDirty();
  }

  /** Changes that come while a fetch is under way are fetched after it: the answer may be older than they are. */
  private async fetchDirty(): Promise<void> {
    if (this.fetching || this.state.loading) return;
    this.fetching = true;
    const generation = this.generation;
    try {
      while (this.dirty.size > 0 && generation === this.generation) {
        const keys = [...this.dirty].slice(0, MAX_KEYS);
        for (const key of keys) this.dirty.delete(key);
        const rows = await this.source.rows(this.type, keys);
        if (generation !== this.generation) return;
        const asked = new Set(keys);
        const records = refresh(this.state.records, asked, rows);
        this.show({ records, touched: asked, error: null });
      }
    } catch (error) {
      if (generation === this.generation) this.show({ error: asProtocolError(error) });
    } finally {
      this.fetching = false;
    }
  }

  private show(change: Partial<ListView>): void {
    this.state = { ...this.state, ...change };
    this.changed();
  }
}
