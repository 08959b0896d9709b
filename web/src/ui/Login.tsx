import { TriangleAlert } from 'lucide-react';
import { useRef, useState, type FormEvent } from 'react';
import { Button, Form, Input, Label, Text as AriaText, TextField } from 'react-aria-components';
import { logIn, type Account } from '../api';
import { renameWorkstation, workstationName } from '../browser';
import { asProtocolError } from '../connection';
import { useText, type Text } from '../i18n';
import type { ProtocolError } from '../protocol';
import { Logo } from './Logo';
import { LanguageSwitch } from './LanguageSwitch';

function explain(text: Text, error: ProtocolError): string {
  if (error.code === 'unauthenticated') return text.login.wrong;
  if (error.code === 'rate_limited') return error.hint ?? text.login.limited;
  if (error.code === 'not_reachable') return text.login.unreachable;
  return error.hint ? `${error.message} ${error.hint}` : error.message;
}

export function Login({ expired, entered }: { expired: boolean; entered(account: Account): Promise<void> }) {
  const text = useText();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ProtocolError | null>(null);
  const password = useRef<HTMLInputElement>(null);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    const field = (name: string) => String(fields.get(name) ?? '').trim();
    setBusy(true);
    setError(null);
    try {
      renameWorkstation(field('workstation') || workstationName());
      await entered(await logIn(field('user'), String(fields.get('password') ?? '')));
    } catch (failure) {
      setError(asProtocolError(failure));
      setBusy(false);
      // Most often it is the password that was mistyped: ready to be typed over.
      password.current?.focus();
      password.current?.select();
    }
  };

  return (
    <main className="login">
      <div className="login-card">
        <div className="login-brand">
          <Logo size={44} />
          <div>
            <p className="wordmark">Verbund</p>
            <p className="muted">{text.login.lead}</p>
          </div>
        </div>
        <h1>{text.login.heading}</h1>
        <div role="alert" className="login-alert">
          {(error !== null || expired) && (
            <p className="inline-error">
              <TriangleAlert aria-hidden size={18} />
              {error ? explain(text, error) : text.login.expired}
            </p>
          )}
        </div>
        <Form onSubmit={(event) => void submit(event)} className="stack">
          <TextField name="user" isRequired autoComplete="username" autoFocus className="field">
            <Label>{text.login.user}</Label>
            <Input autoCapitalize="none" spellCheck="false" />
          </TextField>
          <TextField name="password" type="password" isRequired autoComplete="current-password" className="field">
            <Label>{text.login.password}</Label>
            <Input ref={password} />
          </TextField>
          <TextField name="workstation" defaultValue={workstationName()} isRequired maxLength={40} className="field">
            <Label>{text.login.workstation}</Label>
            <Input />
            <AriaText slot="description">{text.login.workstationHint}</AriaText>
          </TextField>
          <Button type="submit" isDisabled={busy} className="button primary wide">
            {busy ? text.login.busy : text.login.submit}
          </Button>
        </Form>
      </div>
      <LanguageSwitch />
    </main>
  );
}
