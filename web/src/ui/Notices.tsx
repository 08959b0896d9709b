import { CircleCheck, Lock, MessageSquare, TriangleAlert, Unplug, X } from 'lucide-react';
import type { ReactNode } from 'react';
import { Button } from 'react-aria-components';
import { moment, useText, type Text } from '../i18n';
import type { Notice } from '../workplace';
import type { ShownNotice } from './notices';

function icon(notice: Notice): ReactNode {
  switch (notice.kind) {
    case 'message':
      return <MessageSquare aria-hidden size={18} />;
    case 'sent':
      return <CircleCheck aria-hidden size={18} />;
    case 'gone':
      return <Unplug aria-hidden size={18} />;
    case 'refused':
      return <Lock aria-hidden size={18} />;
    default:
      return <TriangleAlert aria-hidden size={18} />;
  }
}

function words(text: Text, notice: Notice): string {
  switch (notice.kind) {
    case 'message':
      return notice.text;
    case 'sent':
      return text.notice.sent(notice.delivered);
    case 'gone':
      return text.notice.gone(notice.user, notice.workstation);
    case 'refused':
      return text.notice.refused(notice.holder.user, notice.holder.workstation);
    case 'error':
      return notice.error.hint ? `${notice.error.message}\n${notice.error.hint}` : notice.error.message;
  }
}

interface Props {
  notices: ShownNotice[];
  dismiss(id: number): void;
  reply(session: string): void;
}

export function Notices({ notices, dismiss, reply }: Props) {
  const text = useText();
  return (
    <section className="notices" aria-label={text.notice.region} aria-live="polite" aria-relevant="additions">
      {notices.map(({ id, notice }) => (
        <div key={id} className={`notice notice-${notice.kind}`}>
          {icon(notice)}
          <div className="notice-body">
            {notice.kind === 'message' && (
              <p className="notice-head">
                <strong>{text.notice.messageFrom(notice.from.user, notice.from.workstation)}</strong>{' '}
                <span className="muted">
                  {notice.to === '*' ? `${text.notice.toAll} · ` : ''}
                  {moment(text, notice.at)}
                </span>
              </p>
            )}
            <p className="notice-text">{words(text, notice)}</p>
            {notice.kind === 'message' && (
              <Button
                className="link-button"
                onPress={() => {
                  reply(notice.from.session);
                  dismiss(id);
                }}
              >
                {text.notice.reply}
              </Button>
            )}
          </div>
          <Button className="icon-button" aria-label={text.notice.dismiss} onPress={() => dismiss(id)}>
            <X aria-hidden size={16} />
          </Button>
        </div>
      ))}
    </section>
  );
}
