import { CircleCheck, Hourglass, RefreshCw, TriangleAlert, Unplug } from 'lucide-react';
import { useEffect, useState } from 'react';
import { Button } from 'react-aria-components';
import { useLanguage, useText, type Language, type Text } from '../i18n';
import type { FeedState } from '../office';
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
  const { language } = useLanguage();
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
      <div role="status">{!broken && feedWords(text, language, office.feed).map((words) => <FeedBanner key={words.head} {...words} />)}</div>
    </div>
  );
}

interface FeedWords {
  head: string;
  why: string | undefined;
}

/** What is not as it should be with the news of changes; the node's own words below. */
function feedWords(text: Text, language: Language, feed: FeedState): FeedWords[] {
  const words: FeedWords[] = [];
  const german = language === 'de';
  if (feed.state !== 'running') {
    const head = feed.state === 'stopped' ? text.connection.feedStopped : text.connection.feedBehind;
    words.push({ head, why: (german && feed.reason_de) || feed.reason });
  }
  if (feed.alarm) words.push({ head: text.connection.feedAlarm, why: (german && feed.alarm_de) || feed.alarm });
  return words;
}

function FeedBanner({ head, why }: FeedWords) {
  return (
    <div className="banner banner-warn" data-testid="feed-banner">
      <TriangleAlert aria-hidden size={20} />
      <div className="banner-words">
        <strong>{head}</strong>
        {why && <span>{why}</span>}
      </div>
    </div>
  );
}
