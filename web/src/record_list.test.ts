import { describe, expect, test } from 'vitest';
import type { RecordPage, RecordRow } from './api';
import type { NodeEvent } from './protocol';
import { RecordList } from './record_list';

const cursor = { history: 'h', csn: '1' };
const row = (id: number, label: string): RecordRow => ({ key: `patient/${id}`, label, group: label[0] ?? '?' });
const changes = (...keys: string[]): NodeEvent => ({
  event: 'changes', history: 'h', csn: '2', changes: keys.map((key) => ({ key, op: 'update' as const })),
});

/** A node whose answers wait until the test lets them go. */
class Source {
  rows_ = [row(1, 'Ahrens'), row(2, 'Bauer'), row(3, 'Conrad')];
  pages = 0;
  asked: string[][] = [];
  gate: Promise<void> = Promise.resolve();

  async page(_type: string, after: string | null): Promise<RecordPage> {
    this.pages += 1;
    await this.gate;
    const from = Number(after ?? 0);
    const next = from + 2 < this.rows_.length ? String(from + 2) : null;
    return { records: this.rows_.slice(from, from + 2), next, total: this.rows_.length, cursor };
  }
  async rows(_type: string, keys: string[]): Promise<RecordRow[]> {
    this.asked.push(keys);
    await this.gate;
    return this.rows_.filter(({ key }) => keys.includes(key));
  }
}

const labels = (list: RecordList) => list.view.records.map(({ label }) => label);

describe('record list', () => {
  test('loads page by page', async () => {
    const source = new Source();
    const list = new RecordList('patient', source, () => undefined);
    await list.load();
    expect(source.pages).toBe(2);
    expect(labels(list)).toEqual(['Ahrens', 'Bauer', 'Conrad']);
    expect(list.view.loading).toBe(false);
  });

  test('fetches what a change names; what no longer exists leaves', async () => {
    const source = new Source();
    const list = new RecordList('patient', source, () => undefined);
    await list.load();
    source.rows_ = [row(1, 'Xaver'), row(3, 'Conrad'), row(4, 'Bach')];
    await list.follow(changes('patient/1', 'patient/2', 'patient/4', 'letter/1'));
    expect(source.asked).toEqual([['patient/1', 'patient/2', 'patient/4']]);
    expect(labels(list)).toEqual(['Bach', 'Conrad', 'Xaver']);
  });

  test('a change that comes while the list is loading is fetched after it', async () => {
    const source = new Source();
    const list = new RecordList('patient', source, () => undefined);
    const loading = list.load();
    await list.follow(changes('patient/3'));
    expect(source.asked).toEqual([]);
    await loading;
    expect(source.asked).toEqual([['patient/3']]);
  });

  test('changes that come during a fetch are fetched together after it', async () => {
    const source = new Source();
    const list = new RecordList('patient', source, () => undefined);
    await list.load();
    let open = (): void => undefined;
    source.gate = new Promise((resolve) => (open = resolve));
    const first = list.follow(changes('patient/1'));
    void list.follow(changes('patient/1', 'patient/2'));
    void list.follow(changes('patient/3'));
    open();
    await first;
    expect(source.asked).toEqual([['patient/1'], ['patient/1', 'patient/2', 'patient/3']]);
  });

  test.each<NodeEvent>([
    { event: 'snapshot', reason: 'cursor_too_old', cursor },
    { event: 'changes', history: 'h', csn: '2', bulk: [{ type: 'patient', count: 250_000 }] },
    { event: 'changes', history: 'h', csn: '2', truncated: ['patient'] },
  ])('$event of many reads everything anew', async (event) => {
    const source = new Source();
    const list = new RecordList('patient', source, () => undefined);
    await list.load();
    source.rows_ = [];
    await list.follow(event);
    expect(labels(list)).toEqual([]);
  });

  test('a failed load is shown and keeps what was there', async () => {
    const source = new Source();
    const list = new RecordList('patient', source, () => undefined);
    await list.load();
    source.gate = Promise.reject(new Error('broken'));
    await list.load();
    expect(list.view.error?.message).toBe('broken');
    expect(labels(list)).toHaveLength(3);
  });
});
