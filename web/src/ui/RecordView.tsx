import { ArrowLeft, CloudOff, FolderOpen, Hourglass, Lock, LockKeyhole, LockOpen, PencilLine, Trash2, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';
import { Button } from 'react-aria-components';
import type { RecordTable } from '../api';
import { moment, useText, type Text } from '../i18n';
import { idOf, shownTable, shownValue } from '../record_table';
import type { OpenRecord, Workplace, WorkplaceView } from '../workplace';

interface Props {
  view: WorkplaceView;
  workplace: Workplace;
  back(): void;
}

export function RecordView({ view, workplace, back }: Props) {
  const text = useText();
  const { open } = view;
  const close = () => {
    workplace.closeRecord();
    back();
    // The button under the keyboard is gone with the record.
    requestAnimationFrame(() => document.querySelector<HTMLElement>('.tree')?.focus({ preventScroll: true }));
  };
  if (!open) {
    return (
      <main className="pane record-pane">
        <div className="nothing-open">
          <FolderOpen aria-hidden size={44} strokeWidth={1.3} />
          <h2>{text.record.none}</h2>
          <p className="muted">{text.record.noneHint}</p>
        </div>
      </main>
    );
  }
  const known = view.list.records.find((record) => record.key === open.key);
  const label = open.detail?.label ?? known?.label ?? open.key;
  const keeps = view.lock.kind === 'mine';
  return (
    <main className="pane record-pane" aria-labelledby="record-heading" aria-busy={!open.detail && !open.error}>
      <div className="record-head">
        <Button className="icon-button back" aria-label={text.record.back} onPress={back}>
          <ArrowLeft aria-hidden size={20} />
        </Button>
        <div className="record-title">
          <h2 id="record-heading">{label}</h2>
          <span className="muted key">{open.key}</span>
        </div>
        <Button className="button" onPress={close}>
          {keeps ? <LockOpen aria-hidden size={16} /> : null}
          {keeps ? text.record.release : text.close}
        </Button>
      </div>
      <LockBanner view={view} lock={() => void workplace.lockOpen()} />
      <div className="record-body">
        <Body open={open} />
      </div>
    </main>
  );
}

interface Words {
  look: 'mine' | 'held' | 'free' | 'lost' | 'offline' | 'asking';
  icon: ReactNode;
  head: string;
  hint: string;
  canLock: boolean;
}

function lockWords(text: Text, { lock, connection }: WorkplaceView): Words {
  const record = text.record;
  const online = connection.editable;
  switch (lock.kind) {
    case 'mine':
      return {
        look: online ? 'mine' : 'offline', icon: <PencilLine aria-hidden size={22} />, head: record.mine,
        hint: online ? record.mineHint : record.mineOffline, canLock: false,
      };
    case 'held':
      return {
        look: 'held', icon: <Lock aria-hidden size={22} />, head: record.held(lock.holder.user),
        hint: record.heldHint(lock.holder.workstation, moment(text, lock.holder.since)), canLock: false,
      };
    case 'lost': {
      const by = lock.by ? record.lostBy(lock.by) : record.lostReason[lock.reason];
      return {
        look: 'lost', icon: <TriangleAlert aria-hidden size={22} />, head: record.lost,
        hint: lock.text ? `${by} ${lock.text}` : by, canLock: online,
      };
    }
    case 'asking':
      return { look: 'asking', icon: <Hourglass aria-hidden size={22} />, head: record.asking, hint: '', canLock: false };
    case 'free':
      if (!online) return { look: 'offline', icon: <CloudOff aria-hidden size={22} />, head: record.offline, hint: record.offlineHint, canLock: false };
      return { look: 'free', icon: <LockKeyhole aria-hidden size={22} />, head: record.free, hint: record.freeHint, canLock: true };
  }
}

function LockBanner({ view, lock }: { view: WorkplaceView; lock(): void }) {
  const text = useText();
  const words = lockWords(text, view);
  return (
    <div className={`lock-banner lock-${words.look}`} role="status" data-testid="lock-banner">
      {words.icon}
      <div className="banner-words">
        <strong>{words.head}</strong>
        {words.hint && <span>{words.hint}</span>}
      </div>
      {words.canLock && (
        <Button className="button primary" onPress={lock}>
          <Lock aria-hidden size={16} />
          {text.record.lock}
        </Button>
      )}
    </div>
  );
}

function Body({ open }: { open: OpenRecord }) {
  const text = useText();
  if (open.deleted) {
    return (
      <p className="inline-error" role="alert">
        <Trash2 aria-hidden size={18} /> {text.record.deleted}
      </p>
    );
  }
  if (open.error && !open.detail) {
    return (
      <p className="inline-error" role="alert">
        <TriangleAlert aria-hidden size={18} /> {text.record.failed} {open.error.message}
      </p>
    );
  }
  if (!open.detail) return <p className="muted">{text.loading}</p>;
  return open.detail.tables.map((table, index) => (
    <section key={table.name} className="card" aria-label={table.name}>
      <h3>
        {columnName(table.name)}{' '}
        <span className="muted count">{table.more ? text.record.firstRows(table.rows.length) : text.record.rows(table.rows.length)}</span>
      </h3>
      {index === 0 && table.rows.length === 1 ? <Fields table={table} /> : <Rows table={shownTable(table, idOf(open.key))} />}
    </section>
  ));
}

function Value({ value }: { value: string | null }) {
  const text = useText();
  return value === null || value === '' ? <span className="muted">–</span> : shownValue(text.locale, value);
}

const columnName = (column: string): string => column.replaceAll('_', ' ');

/** The record's own row, one field under the other. */
function Fields({ table }: { table: RecordTable }) {
  const row = table.rows[0] ?? [];
  return (
    <dl className="fields">
      {table.columns.map((column, index) => (
        <div key={column}>
          <dt>{columnName(column)}</dt>
          <dd>
            <Value value={row[index] ?? null} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Rows({ table }: { table: RecordTable }) {
  const text = useText();
  if (table.rows.length === 0) return <p className="muted empty-table">{text.record.emptyTable}</p>;
  return (
    // Wide tables scroll sideways; the tab stop lets the keyboard do it.
    <div className="table-box" tabIndex={0} role="region" aria-label={table.name}>
      <table>
        <thead>
          <tr>
            {table.columns.map((column) => (
              <th key={column} scope="col">
                {columnName(column)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row, at) => (
            <tr key={row[0] ?? at}>
              {row.map((value, index) => (
                <td key={table.columns[index] ?? index}>
                  <Value value={value} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
