import { FileText, ListTree, Users } from 'lucide-react';
import { useEffect, useState, useSyncExternalStore } from 'react';
import { flushSync } from 'react-dom';
import { whoAmI, type Account } from '../api';
import { claimSession, renameWorkstation, surroundings, workstationName } from '../browser';
import { useLanguage, useText } from '../i18n';
import { asProtocolError } from '../connection';
import { Workplace } from '../workplace';
import type { RecordType } from './App';
import { ConnectionBanner } from './ConnectionState';
import { Notices } from './Notices';
import { useNotices } from './notices';
import { PatientTree } from './PatientTree';
import { Presence } from './Presence';
import { RecordView } from './RecordView';
import { TopBar } from './TopBar';

export type Pane = 'tree' | 'record' | 'who';

interface Props {
  account: Account;
  type: RecordType;
  leave(): void;
  expired(): void;
}

/** The page learns about waking up and about the network from the browser, and looks at its clocks then. */
function useChecks(workplace: Workplace): void {
  useEffect(() => {
    const check = () => {
      if (document.visibilityState === 'visible') workplace.connection.check();
    };
    const doc = ['visibilitychange'] as const;
    const win = ['online', 'offline', 'pageshow', 'focus'] as const;
    doc.forEach((name) => document.addEventListener(name, check));
    win.forEach((name) => window.addEventListener(name, check));
    return () => {
      doc.forEach((name) => document.removeEventListener(name, check));
      win.forEach((name) => window.removeEventListener(name, check));
    };
  }, [workplace]);
}

/** A refused upgrade looks like any failed connection; only REST says that the login is over. */
function useExpiry(workplace: Workplace, expired: () => void): void {
  useEffect(
    () =>
      workplace.connection.listen({
        view: ({ phase, error }) => {
          if (phase !== 'waiting' && !(phase === 'stopped' && error?.code === 'unauthenticated')) return;
          whoAmI().catch((failure: unknown) => {
            if (asProtocolError(failure).code === 'unauthenticated') expired();
          });
        },
        welcome: ({ session }) => void claimSession(session),
      }),
    [workplace, expired],
  );
}

export function WorkplacePage({ account, type, leave, expired }: Props) {
  const text = useText();
  const { language } = useLanguage();
  const { notices, notify, dismiss } = useNotices();
  const [workplace] = useState(() => new Workplace(surroundings, type.type, notify));
  const view = useSyncExternalStore(workplace.subscribe, workplace.view);
  const [pane, setPane] = useState<Pane>('tree');
  const [recipient, setRecipient] = useState('*');
  useChecks(workplace);
  useExpiry(workplace, expired);

  useEffect(() => {
    workplace.start(account, workstationName(), language);
    return () => workplace.suspend();
    // The language of a running session is told at its start only.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [workplace, account]);

  const write = (session: string) => {
    // At once: the first key after the click belongs into the message.
    flushSync(() => {
      setRecipient(session);
      setPane('who');
    });
    document.getElementById('message-text')?.focus();
  };
  const open = (key: string) => {
    setPane('record');
    void workplace.openRecord(key);
  };
  const rename = (name: string) => {
    renameWorkstation(name);
    workplace.stop();
    workplace.start(account, name, language);
  };
  const logout = () => {
    workplace.stop();
    leave();
  };
  const panes = [
    { id: 'tree', name: text.tree.heading, Icon: ListTree },
    { id: 'record', name: text.record.heading, Icon: FileText },
    { id: 'who', name: text.who.heading, Icon: Users },
  ] as const;

  return (
    <div className="page" data-pane={pane} data-editable={view.connection.editable}>
      <TopBar account={account} view={view} rename={rename} logout={logout} />
      <ConnectionBanner view={view} reconnect={() => workplace.connection.reconnect()} />
      <PatientTree view={view} type={type} open={open} reload={() => workplace.reload()} />
      <RecordView view={view} workplace={workplace} back={() => setPane('tree')} />
      <Presence view={view} recipient={recipient} setRecipient={setRecipient} write={write} tell={(to, words) => workplace.tell(to, words)} />
      <nav className="panes" aria-label={text.panes}>
        {panes.map(({ id, name, Icon }) => (
          <button key={id} type="button" aria-current={pane === id ? 'page' : undefined} onClick={() => setPane(id)}>
            <Icon aria-hidden size={20} />
            <span>{name}</span>
          </button>
        ))}
      </nav>
      <Notices notices={notices} dismiss={dismiss} reply={write} />
    </div>
  );
}
