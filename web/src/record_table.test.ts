import { describe, expect, test } from 'vitest';
import { idOf, shownTable, shownValue } from './record_table';

const A = '00000000-0265-8000-8084-5c6bbd564901';
const B = '0de62fa7-ae3e-49d1-93b8-c361b318198f';
const C = '11e62fa7-ae3e-49d1-93b8-c361b318198f';

describe('rows of a child table', () => {
  test('leave out what names the record in every row, and show keys behind the rest', () => {
    const table = { name: 'encounter', columns: ['id', 'patient_id', 'status', 'begun'], rows: [[B, A, 'done', null], [C, A, 'open', '2026-01-02']] };
    const empty = { ...table, rows: [[B, A, null, '2026-01-02']] };
    expect(shownTable(empty, A).columns).toEqual(['begun', 'status', 'id']);
    expect(shownTable(table, A)).toEqual({
      name: 'encounter', columns: ['status', 'begun', 'id'], rows: [['done', null, B], ['open', '2026-01-02', C]],
    });
  });
  test('keep a column that names another record in one of the rows', () => {
    const table = { name: 'link', columns: ['patient_id', 'other'], rows: [[A, A], [A, C]] };
    expect(shownTable(table, A).columns).toEqual(['other']);
  });
  test('of an empty table are none, under all its columns', () => {
    expect(shownTable({ name: 'x', columns: ['id', 'patient_id'], rows: [] }, A).columns).toEqual(['id', 'patient_id']);
  });
  test('the id stands behind the first slash', () => expect(idOf('patient/a/b')).toBe('a/b'));
});

describe('values', () => {
  test('dates and moments are written as people do', () => {
    expect(shownValue('de-DE', '1976-09-02')).toBe('02.09.1976');
    expect(shownValue('de-DE', '2026-11-22 12:23:13.5')).toBe('22.11.2026, 12:23');
    expect(shownValue('de-DE', '2026-11-22 12:23:13+01')).toMatch(/^2[12]\.11\.2026, \d\d:23$/);
  });
  test('what only looks a little like one stays', () => {
    for (const value of ['1976', '1976-09', 'infinity', '2026-11-22T12:23', 't', '0044-03-15', '12345-01-01']) expect(shownValue('de-DE', value)).toBe(value);
  });
});
