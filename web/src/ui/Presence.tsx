import { ChevronsUpDown, CircleAlert, CircleCheck, Lock, MessageSquare, Send, Unplug, Users } from 'lucide-react';
import { useState, type FormEvent, type KeyboardEvent } from 'react';
import { Button, Label, ListBox, ListBoxItem, Popover, Select, SelectValue, TextArea, TextField } from 'react-aria-components';
import { moment, useText } from '../i18n';
import { MAX_TEXT_BYTES, type Session } from '../protocol';
import type { WorkplaceView } from '../workplace';

interface Props {
  view: WorkplaceView;
  recipient: string;
  setRecipient(to: string): void;
  write(session: string): void;
  tell(to: string, words: string): Promise<void>;
}

function sorted(view: WorkplaceView): Session[] {
  const { sessions, me } = view.office;
  const rank = (session: Session) => (session.session === me ? 0 : 1);
  return [...sessions.values()]
    .filter((session) => session.kind !== 'tool')
    .sort((a, b) => rank(a) - rank(b) || a.workstation.localeCompare(b.workstation));
}

export function Presence({ view, recipient, setRecipient, write, tell }: Props) {
  const text = useText();
  const sessions = sorted(view);
  const locks = new Map<string, number>();
  for (const lock of view.office.locks.values()) locks.set(lock.session, (locks.get(lock.session) ?? 0) + 1);
  const online = view.connection.phase === 'online';
  return (
    <aside className="pane who-pane" aria-labelledby="who-heading" data-stale={!online || undefined}>
      <div className="pane-head">
        <h2 id="who-heading">
          <Users aria-hidden size={18} /> {text.who.heading}
        </h2>
        <span className="muted count">{text.who.count(sessions.length)}</span>
      </div>
      <ul className="sessions" tabIndex={0} aria-labelledby="who-heading">
        {sessions.map((session) => (
          <Person
            key={session.session}
            session={session}
            me={session.session === view.office.me}
            locks={locks.get(session.session) ?? 0}
            write={write}
          />
        ))}
        {online && sessions.length === 1 && <li className="muted nobody">{text.who.nobody}</li>}
      </ul>
      <Composer view={view} others={sessions.filter(({ session }) => session !== view.office.me)} recipient={recipient} setRecipient={setRecipient} tell={tell} />
    </aside>
  );
}

const STATE_ICON = { active: CircleCheck, suspect: CircleAlert, reconnecting: Unplug };

interface PersonProps {
  session: Session;
  me: boolean;
  locks: number;
  write(session: string): void;
}

function Person({ session, me, locks, write }: PersonProps) {
  const text = useText();
  const Icon = STATE_ICON[session.state];
  const state = text.who.state[session.state];
  return (
    <li className={`person person-${session.state}`} data-session={session.session}>
      <Icon aria-hidden size={18} className="person-state" />
      <div className="person-words">
        <span className="person-place">
          <strong>{session.workstation}</strong>
          {me && <span className="badge">{text.who.you}</span>}
        </span>
        <span className="muted" title={`${session.app} · ${session.address}`}>
          {session.user} · {session.state === 'active' ? text.who.since(moment(text, session.since)) : state}
          <span className="visually-hidden">, {state}</span>
        </span>
        {locks > 0 && (
          <span className="muted with-icon">
            <Lock aria-hidden size={13} /> {text.who.locks(locks)}
          </span>
        )}
      </div>
      {!me && (
        <Button className="icon-button" aria-label={text.who.write(session.workstation)} onPress={() => write(session.session)}>
          <MessageSquare aria-hidden size={17} />
        </Button>
      )}
    </li>
  );
}

interface ComposerProps {
  view: WorkplaceView;
  others: Session[];
  recipient: string;
  setRecipient(to: string): void;
  tell(to: string, words: string): Promise<void>;
}

function Composer({ view, others, recipient, setRecipient, tell }: ComposerProps) {
  const text = useText();
  const [words, setWords] = useState('');
  const to = others.some(({ session }) => session === recipient) ? recipient : '*';
  const tooLong = new TextEncoder().encode(words).length > MAX_TEXT_BYTES;
  const ready = view.connection.phase === 'online' && words.trim() !== '' && !tooLong;
  const send = () => {
    if (!ready) return;
    tell(to, words.trim()).then(() => setWords(''), () => undefined); // a failure is shown as a notice; the text stays
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    send();
  };
  const press = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  const choices = [{ id: '*', name: text.who.all }, ...others.map(({ session, workstation }) => ({ id: session, name: workstation }))];
  return (
    <form className="composer" onSubmit={submit}>
      <Select className="select" value={to} onChange={(key) => setRecipient(String(key))}>
        <Label className="muted">{text.who.to}</Label>
        <Button className="select-button">
          <SelectValue className="select-value" />
          <ChevronsUpDown aria-hidden size={15} />
        </Button>
        <Popover className="popover">
          <ListBox className="menu" items={choices}>
            {(choice) => <ListBoxItem id={choice.id}>{choice.name}</ListBoxItem>}
          </ListBox>
        </Popover>
      </Select>
      <TextField className="field message-field" value={words} onChange={setWords} isInvalid={tooLong}>
        <Label className="visually-hidden">{text.who.text}</Label>
        <TextArea id="message-text" rows={2} placeholder={text.who.text} onKeyDown={press} />
      </TextField>
      <Button type="submit" className="button primary send" aria-label={text.who.send} isDisabled={!ready}>
        <Send aria-hidden size={18} />
      </Button>
      {tooLong && <p className="inline-error">{text.who.tooLong}</p>}
    </form>
  );
}
