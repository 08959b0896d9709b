/** The records of one type in the order of the tree, and the tree's visible lines. Pure. */
import type { RecordRow } from './api';
import { fold, matcher, type Folded } from './fold';

export interface TreeRecord extends RecordRow {
  folded: Folded;
  groupOrder: string;
}

export interface TreeGroup {
  name: string;
  /** Index of the first record of the group, and one behind the last. */
  from: number;
  to: number;
  open: boolean;
}

export interface Tree {
  records: readonly TreeRecord[];
  groups: readonly TreeGroup[];
  /** Visible lines: one per group, one per record of an open group. */
  lines: number;
}

export type TreeLine = { kind: 'group'; group: TreeGroup; index: number } | { kind: 'record'; group: TreeGroup; record: TreeRecord; place: number };

export function treeRecord(row: RecordRow): TreeRecord {
  return { ...row, folded: fold(row.label), groupOrder: fold(row.group).bare };
}

export function compare(a: TreeRecord, b: TreeRecord): number {
  return (
    order(a.groupOrder, b.groupOrder) || order(a.group, b.group) || order(a.folded.bare, b.folded.bare) ||
    order(a.label, b.label) || order(a.key, b.key)
  );
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** From here on sorting anew is cheaper than inserting one by one. */
const RESORT_FROM = 200;

/** Replaces the records `asked` for by what exists of them now. */
export function refresh(records: readonly TreeRecord[], asked: ReadonlySet<string>, rows: readonly RecordRow[]): TreeRecord[] {
  const next = records.filter((record) => !asked.has(record.key));
  const fresh = rows.map(treeRecord);
  if (fresh.length >= RESORT_FROM) return next.concat(fresh).sort(compare);
  for (const record of fresh) next.splice(placeOf(next, record), 0, record);
  return next;
}

function placeOf(records: readonly TreeRecord[], record: TreeRecord): number {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(records[middle] as TreeRecord, record) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** `closed` holds the names of collapsed groups; a search opens them all. */
export function buildTree(all: readonly TreeRecord[], query: string, closed: ReadonlySet<string>): Tree {
  const searching = query.trim() !== '';
  const matches = matcher(query);
  const records = searching ? all.filter((record) => matches(record.folded)) : all;
  const groups: TreeGroup[] = [];
  let lines = 0;
  for (let from = 0; from < records.length; ) {
    const name = (records[from] as TreeRecord).group;
    let to = from + 1;
    while (to < records.length && (records[to] as TreeRecord).group === name) to += 1;
    const open = searching || !closed.has(name);
    groups.push({ name, from, to, open });
    lines += open ? to - from + 1 : 1;
    from = to;
  }
  return { records, groups, lines };
}

export function lineAt(tree: Tree, line: number): TreeLine | null {
  let rest = line;
  for (const [index, group] of tree.groups.entries()) {
    if (rest === 0) return { kind: 'group', group, index };
    const shown = group.open ? group.to - group.from : 0;
    if (rest <= shown) {
      const record = tree.records[group.from + rest - 1] as TreeRecord;
      return { kind: 'record', group, record, place: rest };
    }
    rest -= shown + 1;
  }
  return null;
}

/** The line of a record, or of its closed group; -1 when it is not in the tree. */
export function lineOf(tree: Tree, key: string): number {
  let line = 0;
  for (const group of tree.groups) {
    for (let index = group.from; index < group.to; index += 1) {
      if (tree.records[index]?.key === key) return group.open ? line + 1 + index - group.from : line;
    }
    line += 1 + (group.open ? group.to - group.from : 0);
  }
  return -1;
}

export function groupLine(tree: Tree, name: string): number {
  let line = 0;
  for (const group of tree.groups) {
    if (group.name === name) return line;
    line += 1 + (group.open ? group.to - group.from : 0);
  }
  return -1;
}
