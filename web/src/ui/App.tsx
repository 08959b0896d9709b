import { useCallback, useEffect, useState } from 'react';
import { logOut, recordTypes, whoAmI, type Account } from '../api';
import { forgetCopiedSession } from '../browser';
import { asProtocolError } from '../connection';
import { useText } from '../i18n';
import { useTheme } from '../theme';
import { Login } from './Login';
import { WorkplacePage } from './WorkplacePage';

export interface RecordType {
  type: string;
  label: string;
}

type Stage =
  | { kind: 'loading' }
  | { kind: 'login'; expired: boolean }
  | { kind: 'workplace'; account: Account; type: RecordType };

async function workplaceFor(account: Account): Promise<Stage> {
  const { types } = await recordTypes();
  const type = types.find((each) => each.type === 'patient') ?? types[0] ?? { type: 'patient', label: '' };
  return { kind: 'workplace', account, type };
}

async function firstStage(): Promise<Stage> {
  try {
    await forgetCopiedSession();
    return await workplaceFor(await whoAmI());
  } catch (failure) {
    // Without a session there is the login; it also says when the node can't be reached.
    return { kind: 'login', expired: asProtocolError(failure).code === 'expired' };
  }
}

export function App() {
  const text = useText();
  useTheme();
  const [stage, setStage] = useState<Stage>({ kind: 'loading' });

  useEffect(() => {
    void firstStage().then(setStage);
  }, []);

  const expired = useCallback(() => setStage({ kind: 'login', expired: true }), []);
  const leave = useCallback(() => {
    const back = () => setStage({ kind: 'login', expired: false });
    logOut().then(back, back); // the cookie is of no use once the page shows the login
  }, []);

  if (stage.kind === 'loading') {
    return (
      <main className="splash" aria-busy="true">
        <p>{text.loading}</p>
      </main>
    );
  }
  if (stage.kind === 'login') {
    return <Login expired={stage.expired} entered={async (account) => setStage(await workplaceFor(account))} />;
  }
  return <WorkplacePage account={stage.account} type={stage.type} leave={leave} expired={expired} />;
}
