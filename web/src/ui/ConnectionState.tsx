import { CircleCheck, Hourglass, RefreshCw, TriangleAlert, Unplug } from 'lucide-react';
import { useEffect, useState } from 'react';
import { Button } from 'react-aria-components';
import { useText, type Text } from '../i18n';
import type { WorkplaceView } from '../workplace';

function useSecondsUntil(at: number | null): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (at === null) return undefined;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [at]);
  return at === null ? 0 : Math.max(0, Math.ceil((at - now) / 1000));
}

/** The small state in the top bar. */
export function ConnectionPill({ view: { connection } }: { view: WorkplaceView }) {
  const text = useText();
  const { phase, editable } = connection;
  if (phase === 'online' && editable) {
    return (
      <span className="pill pill-ok" data-testid="connection">
        <CircleCheck aria-hidden size={16} />
        <span>{text.connection.online}</span>
      </span>
    );
  }
  const first = phase === 'connecting' && connection.reason === null;
  return (
    <span className={first ? 'pill' : 'pill pill-bad'} data-testid="connection">
      {first ? <Hourglass aria-hidden size={16} /> : <Unplug aria-hidden size={16} />}
      <span>{first ? text.connection.connecting : text.connection.readOnly}</span>
    </span>
  );
}

function heading(text: Text, { phase }: WorkplaceView['connection']): string {
  if (phase === 'online') return text.connection.leaseHeading;
  return phase === 'stopped' ? text.connection.stoppedHeading : text.connection.lostHeading;
}

function explanation(text: Text, { phase, reason, error }: WorkplaceView['connection']): string {
  if (phase === 'online') return text.connection.lease;
  const words = reason ? text.connection.reason[reason] : '';
  return error ? `${words} ${error.message}${error.hint ? ` ${error.hint}` : ''}` : words;
}

/** Says at once and in full that nothing can be changed now, and offers to reconnect. */
export function ConnectionBanner({ view, reconnect }: { view: WorkplaceView; reconnect(): void }) {
  const text = useText();
  const { connection, office } = view;
  const seconds = useSecondsUntil(connection.retryAt);
  const starting = connection.phase === 'idle' || (connection.phase === 'connecting' && connection.reason === null);
  const broken = !connection.editable && !starting;
  return (
    <div className="banners">
      <div role="alert">
        {broken && (
          <div className="banner banner-bad" data-testid="connection-banner">
            <Unplug aria-hidden size={22} />
            <div className="banner-words">
              <strong>{heading(text, connection)}</strong>
              <span>{explanation(text, connection)}</span>
            </div>
            {connection.phase !== 'online' && (
              <div className="banner-action">
                <span aria-live="off" className="countdown">
                  {connection.phase === 'connecting' ? text.connection.retrying : null}
                  {connection.retryAt !== null ? text.connection.retryIn(seconds) : null}
                </span>
                <Button className="button on-bad" onPress={reconnect}>
                  <RefreshCw aria-hidden size={16} />
                  {text.connection.reconnect}
                </Button>
              </div>
            )}
          </div>
        )}
      </div>
      {!broken && office.feed.state !== 'running' && (
        <div className="banner banner-warn" role="status">
          <TriangleAlert aria-hidden size={20} />
          <div className="banner-words">
            <strong>{office.feed.state === 'stopped' ? text.connection.feedStopped : text.connection.feedBehind}</strong>
            {office.feed.reason && <span>{office.feed.reason}</span>}
          </div>
        </div>
      )}
    </div>
  );
}
