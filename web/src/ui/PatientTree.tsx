import { useVirtualizer } from '@tanstack/react-virtual';
import { ChevronRight, ListTree, Lock, PencilLine, RefreshCw, Search, X } from 'lucide-react';
import { memo, useDeferredValue, useEffect, useId, useMemo, useRef, useState, type KeyboardEvent } from 'react';
import { Button, Input, SearchField } from 'react-aria-components';
import { useText, type Text } from '../i18n';
import type { Lock as WorkLock } from '../protocol';
import { buildTree, lineAt, lineOf, groupLine, type Tree, type TreeLine } from '../tree';
import type { WorkplaceView } from '../workplace';
import type { RecordType } from './App';
import { stepFor, typeAhead } from './tree_keys';

/** One line; the same as --line in workplace.css. */
const LINE_PX = 40;
const TYPING_MS = 700;

interface Props {
  view: WorkplaceView;
  type: RecordType;
  open(key: string): void;
  reload(): void;
}

export function PatientTree({ view, type, open, reload }: Props) {
  const text = useText();
  const [query, setQuery] = useState('');
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const { list } = view;
  const wanted = useDeferredValue(query);
  const tree = useMemo(() => buildTree(list.records, wanted, closed), [list.records, wanted, closed]);
  const heading = type.type === 'patient' ? text.tree.heading : type.label;
  const toggle = (group: string) => {
    setClosed((before) => {
      const after = new Set(before);
      if (!after.delete(group)) after.add(group);
      return after;
    });
  };
  return (
    <section className="pane tree-pane" aria-labelledby="tree-heading">
      <div className="pane-head">
        <h2 id="tree-heading">
          <ListTree aria-hidden size={18} /> {heading}
        </h2>
        <span className="muted count" role="status">
          {countOf(text, view, tree, wanted)}
        </span>
      </div>
      <SearchField className="search" aria-label={text.tree.search} value={query} onChange={setQuery}>
        <Search aria-hidden size={16} />
        <Input placeholder={text.tree.search} />
        <Button className="icon-button" aria-label={text.tree.clear}>
          <X aria-hidden size={16} />
        </Button>
      </SearchField>
      {list.error && (
        <div className="inline-error" role="alert">
          <span>
            {text.tree.failed} {list.error.message}
          </span>
          <Button className="button small" onPress={reload}>
            <RefreshCw aria-hidden size={14} /> {text.tree.again}
          </Button>
        </div>
      )}
      {tree.lines > 0 ? (
        <Lines tree={tree} view={view} label={heading} toggle={toggle} open={open} />
      ) : (
        !list.error && <p className="empty muted">{emptyWords(text, view, wanted)}</p>
      )}
    </section>
  );
}

function emptyWords(text: Text, { list }: WorkplaceView, query: string): string {
  if (list.loading) return text.loading;
  return query.trim() ? text.tree.nothing : text.tree.empty;
}

function countOf(text: Text, { list }: WorkplaceView, tree: Tree, query: string): string {
  if (list.loading && list.total > list.loaded) return text.tree.loading(list.loaded, list.total);
  if (query.trim()) return text.tree.found(tree.records.length, list.records.length);
  return text.tree.count(list.records.length);
}

interface LinesProps {
  tree: Tree;
  view: WorkplaceView;
  label: string;
  toggle(group: string): void;
  open(key: string): void;
}

/** Where the keyboard stands, by name: lines come and go under it. */
type Active = { group: string } | { key: string } | null;

function activeLine(tree: Tree, active: Active): number {
  if (!active) return 0;
  const line = 'key' in active ? lineOf(tree, active.key) : groupLine(tree, active.group);
  return Math.max(0, line);
}

function Lines({ tree, view, label, toggle, open }: LinesProps) {
  const box = useRef<HTMLDivElement>(null);
  const id = useId();
  const [active, setActive] = useState<Active>(null);
  const typed = useRef({ text: '', at: 0 });
  const rows = useVirtualizer({
    count: tree.lines,
    getScrollElement: () => box.current,
    estimateSize: () => LINE_PX,
    overscan: 12,
  });
  const current = activeLine(tree, active);

  // After the login the keyboard stands nowhere: here it can begin. It is taken from nobody.
  useEffect(() => {
    if (document.activeElement === document.body) box.current?.focus({ preventScroll: true });
  }, []);

  const go = (line: number) => {
    const target = lineAt(tree, line);
    if (!target) return;
    setActive(target.kind === 'record' ? { key: target.record.key } : { group: target.group.name });
    rows.scrollToIndex(line);
  };
  const press = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = stepFor(tree, current, event.key);
    if (step) {
      if (step.kind === 'go') go(step.line);
      if (step.kind === 'toggle') toggle(step.group);
      if (step.kind === 'open') open(step.key);
      event.preventDefault();
    } else if (event.key.length === 1 && event.key !== ' ') {
      const old = event.timeStamp - typed.current.at > TYPING_MS;
      typed.current = { text: (old ? '' : typed.current.text) + event.key, at: event.timeStamp };
      const line = typeAhead(tree, current, typed.current.text);
      if (line >= 0) go(line);
    }
  };
  const choose = (line: TreeLine) => {
    box.current?.focus({ preventScroll: true });
    if (line.kind === 'group') {
      setActive({ group: line.group.name });
      toggle(line.group.name);
    } else {
      setActive({ key: line.record.key });
      open(line.record.key);
    }
  };

  const shown = rows.getVirtualItems();
  const isShown = shown.some(({ index }) => index === current);
  return (
    <div
      ref={box}
      className="tree"
      role="tree"
      aria-label={label}
      aria-activedescendant={isShown ? `${id}-${current}` : undefined}
      tabIndex={0}
      onKeyDown={press}
    >
      <div role="none" className="tree-space" style={{ height: rows.getTotalSize() }}>
        {shown.map(({ index, start }) => {
          const line = lineAt(tree, index);
          if (!line) return null;
          const key = line.kind === 'record' ? line.record.key : '';
          return (
            <Line
              key={key || `group ${line.group.name}`}
              id={`${id}-${index}`}
              line={line}
              groups={tree.groups.length}
              top={start}
              active={index === current}
              selected={key !== '' && view.open?.key === key}
              touched={view.list.touched.has(key)}
              lock={view.office.locks.get(key)}
              mine={key !== '' && view.open?.key === key && view.lock.kind === 'mine'}
              me={view.office.me}
              choose={choose}
            />
          );
        })}
      </div>
    </div>
  );
}

interface LineProps {
  id: string;
  line: TreeLine;
  groups: number;
  top: number;
  active: boolean;
  selected: boolean;
  touched: boolean;
  lock: WorkLock | undefined;
  mine: boolean;
  me: string | null;
  choose(line: TreeLine): void;
}

function Line({ id, line, groups, top, active, selected, touched, lock, mine, me, choose }: LineProps) {
  const text = useText();
  const common = {
    id,
    role: 'treeitem',
    style: { transform: `translateY(${top}px)` },
    'data-active': active || undefined,
    onClick: () => choose(line),
  };
  if (line.kind === 'group') {
    const { name, from, to, open } = line.group;
    return (
      <div
        {...common}
        className="line line-group"
        aria-level={1}
        aria-expanded={open}
        aria-setsize={groups}
        aria-posinset={line.index + 1}
      >
        <ChevronRight aria-hidden size={16} className="chevron" />
        <span className="group-name">{name}</span>
        <span className="group-count">
          {(to - from).toLocaleString(text.locale)}
          <span className="visually-hidden"> {text.tree.unit(to - from)}</span>
        </span>
      </div>
    );
  }
  const { record, group, place } = line;
  const foreign = lock && lock.session !== me;
  return (
    <div
      {...common}
      className="line line-record"
      aria-level={2}
      aria-selected={selected}
      aria-setsize={group.to - group.from}
      aria-posinset={place}
      data-key={record.key}
      data-touched={touched || undefined}
      data-locked={foreign || undefined}
    >
      <span className="line-label" title={record.label}>
        {record.label}
      </span>
      {mine && <Mark icon="mine" words={text.tree.mine} shown={text.who.you} />}
      {foreign && <Mark icon="held" words={text.tree.lockedBy(lock.user, lock.workstation)} shown={lock.user} />}
    </div>
  );
}

const Mark = memo(function Mark({ icon, words, shown }: { icon: 'mine' | 'held'; words: string; shown: string }) {
  const Icon = icon === 'mine' ? PencilLine : Lock;
  return (
    <span className={`mark mark-${icon}`} title={words}>
      <Icon aria-hidden size={14} />
      <span aria-hidden className="mark-name">
        {shown}
      </span>
      <span className="visually-hidden">, {words}</span>
    </span>
  );
});
