/** How the rows of a record are shown, whatever tables the office has. Pure. */
import type { RecordTable } from './api';

export const idOf = (key: string): string => key.slice(key.indexOf('/') + 1);

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const DATE = /^([1-9]\d{3})-(\d\d)-(\d\d)$/;
/** As PostgreSQL writes timestamptz and timestamp. */
const MOMENT = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?([+-]\d\d(:\d\d)?)?$/;

/**
 * Rows of a child table: without the columns that name the record itself in every row; columns that say nothing, and keys
 * that nobody reads (UUIDs), stand behind what people look for.
 */
export function shownTable(table: RecordTable, id: string): RecordTable {
  const values = (column: number) => table.rows.map((row) => row[column] ?? null);
  const columns = table.columns.map((_, column) => column).filter((column) => table.rows.length === 0 || values(column).some((value) => value !== id));
  const isKey = (column: number) => {
    const there = values(column).filter((value): value is string => value !== null);
    return there.length > 0 && there.every((value) => UUID.test(value));
  };
  const isEmpty = (column: number) => table.rows.length > 0 && values(column).every((value) => value === null);
  const rank = (column: number) => (isKey(column) ? 2 : isEmpty(column) ? 1 : 0);
  const order = [...columns].sort((a, b) => rank(a) - rank(b)); // a stable sort
  return {
    ...table,
    columns: order.map((column) => table.columns[column] ?? ''),
    rows: table.rows.map((row) => order.map((column) => row[column] ?? null)),
  };
}

/** Dates and moments as people write them; everything else as it is. */
export function shownValue(locale: string, value: string): string {
  const date = DATE.exec(value);
  if (date) {
    const [, year, month, day] = date.map(Number);
    const at = new Date(Date.UTC(year ?? 0, (month ?? 1) - 1, day ?? 1));
    return at.toLocaleDateString(locale, { timeZone: 'UTC', day: '2-digit', month: '2-digit', year: 'numeric' });
  }
  if (!MOMENT.test(value)) return value;
  // "+01" is PostgreSQL's short form of "+01:00".
  const at = new Date(value.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00'));
  if (Number.isNaN(at.getTime())) return value;
  return at.toLocaleString(locale, { day: '2-digit', month: '2-digit', year: 'numeric', hour: '2-digit', minute: '2-digit' });
}
