import { describe, expect, test } from 'vitest';
import type { RecordRow } from './api';
import { buildTree, compare, groupLine, lineAt, lineOf, refresh, treeRecord } from './tree';
import { stepFor, typeAhead } from './ui/tree_keys';

const row = (id: number, label: string): RecordRow => ({ key: `patient/${id}`, label, group: label[0] ?? '?' });
const sorted = (...rows: RecordRow[]) => rows.map(treeRecord).sort(compare);
const office = () => sorted(row(1, 'Zander, Emil'), row(2, 'Ahrens, Anna'), row(3, 'Müller, Käthe'), row(4, 'Mayer, Ute'), row(5, 'Ärnst, Ole'));
const labels = (records: readonly { label: string }[]) => records.map(({ label }) => label);

describe('order', () => {
  test('umlauts stand with their letter', () => {
    const names = sorted(row(1, 'Muz, A'), row(2, 'Müller, B'), row(3, 'Mueller, C'), row(4, 'Mai, D'));
    expect(labels(names)).toEqual(['Mai, D', 'Mueller, C', 'Müller, B', 'Muz, A']);
  });
});

describe('refresh', () => {
  test('moves a renamed record, drops a deleted one, inserts a new one', () => {
    const after = refresh(office(), new Set(['patient/1', 'patient/2', 'patient/9']), [row(1, 'Bauer, Emil'), row(9, 'Novák, Jan')]);
    expect(labels(after)).toEqual(['Ärnst, Ole', 'Bauer, Emil', 'Mayer, Ute', 'Müller, Käthe', 'Novák, Jan']);
  });

  test('a large refresh gives the same as single ones', () => {
    const rows = Array.from({ length: 500 }, (_, id) => row(id, `${String.fromCharCode(65 + ((id * 7) % 26))}-${id}`));
    const atOnce = refresh(office(), new Set(rows.map(({ key }) => key)), rows);
    const oneByOne = rows.reduce((all, each) => refresh(all, new Set([each.key]), [each]), office());
    expect(oneByOne).toEqual(atOnce);
  });
});

describe('lines', () => {
  test('groups count as lines, closed ones hide their records', () => {
    const tree = buildTree(office(), '', new Set(['M']));
    expect(tree.groups.map(({ name }) => name)).toEqual(['A', 'Ä', 'M', 'Z']);
    expect(tree.lines).toBe(7);
    expect(lineAt(tree, 4)).toMatchObject({ kind: 'group', group: { name: 'M' } });
    expect(lineAt(tree, 5)).toMatchObject({ kind: 'group', group: { name: 'Z' } });
    expect(lineAt(tree, 6)).toMatchObject({ kind: 'record', record: { label: 'Zander, Emil' }, place: 1 });
    expect(lineAt(tree, 7)).toBeNull();
    expect(lineOf(tree, 'patient/1')).toBe(6);
    expect(lineOf(tree, 'patient/3')).toBe(groupLine(tree, 'M'));
    expect(lineOf(tree, 'patient/77')).toBe(-1);
  });

  test('a search opens closed groups and leaves out empty ones', () => {
    const tree = buildTree(office(), 'kaethe', new Set(['M']));
    expect(tree.groups.map(({ name }) => name)).toEqual(['M']);
    expect(tree.lines).toBe(2);
  });
});

describe('keyboard', () => {
  const tree = buildTree(office(), '', new Set(['Z']));
  test('arrows go by line and stop at the ends', () => {
    expect(stepFor(tree, 0, 'ArrowUp')).toEqual({ kind: 'go', line: 0 });
    expect(stepFor(tree, 0, 'ArrowDown')).toEqual({ kind: 'go', line: 1 });
    expect(stepFor(tree, 0, 'End')).toEqual({ kind: 'go', line: tree.lines - 1 });
  });
  test('left closes a group or goes to it, right opens it or enters it', () => {
    expect(stepFor(tree, 1, 'ArrowLeft')).toEqual({ kind: 'go', line: 0 });
    expect(stepFor(tree, 0, 'ArrowLeft')).toEqual({ kind: 'toggle', group: 'A' });
    expect(stepFor(tree, 0, 'ArrowRight')).toEqual({ kind: 'go', line: 1 });
    expect(stepFor(tree, tree.lines - 1, 'ArrowRight')).toEqual({ kind: 'toggle', group: 'Z' });
  });
  test('enter opens a record', () => {
    expect(stepFor(tree, 1, 'Enter')).toEqual({ kind: 'open', key: 'patient/2' });
  });
  test('typing goes to the next name that starts so, umlaut or not', () => {
    expect(typeAhead(tree, 0, 'mu')).toBe(lineOf(tree, 'patient/3'));
    expect(typeAhead(tree, lineOf(tree, 'patient/4'), 'm')).toBe(lineOf(tree, 'patient/3'));
    expect(typeAhead(tree, lineOf(tree, 'patient/3'), 'm')).toBe(lineOf(tree, 'patient/4'));
    expect(typeAhead(tree, 0, 'x')).toBe(-1);
  });
});
