import { Check, CircleUserRound, MonitorSmartphone } from 'lucide-react';
import { useState, type FormEvent } from 'react';
import {
  Button, Dialog, Form, Header, Heading, Input, Label, Menu, MenuItem, MenuSection, MenuTrigger, Modal, ModalOverlay,
  Popover, Separator, Text as AriaText, TextField,
} from 'react-aria-components';
import type { Account } from '../api';
import { workstationName } from '../browser';
import { languageName, LANGUAGES, useLanguage, useText, type Language } from '../i18n';
import { THEMES, useTheme, type Theme } from '../theme';
import type { WorkplaceView } from '../workplace';
import { ConnectionPill } from './ConnectionState';
import { Logo } from './Logo';

interface Props {
  account: Account;
  view: WorkplaceView;
  rename(name: string): void;
  logout(): void;
}

export function TopBar({ account, view, rename, logout }: Props) {
  const [renaming, setRenaming] = useState(false);
  return (
    <header className="top-bar">
      <div className="brand">
        <Logo size={30} />
        <h1 className="wordmark">Verbund</h1>
        {view.connection.welcome && <span className="node-name muted">{view.connection.welcome.node}</span>}
      </div>
      <ConnectionPill view={view} />
      <UserMenu account={account} rename={() => setRenaming(true)} logout={logout} />
      <RenameDialog isOpen={renaming} close={() => setRenaming(false)} rename={rename} />
    </header>
  );
}

function UserMenu({ account, rename, logout }: { account: Account; rename(): void; logout(): void }) {
  const text = useText();
  const [theme, setTheme] = useTheme();
  const { language, choose } = useLanguage();
  return (
    <MenuTrigger>
      <Button className="user-button">
        <CircleUserRound aria-hidden size={20} />
        <span className="visually-hidden">{text.menu.open}: </span>
        <span className="user-name">{account.user}</span>
      </Button>
      <Popover className="popover" placement="bottom end">
        <div className="menu-head">
          <strong>{account.user}</strong>
          <span className="muted">{text.menu.role(account.role)}</span>
          <span className="muted with-icon">
            <MonitorSmartphone aria-hidden size={14} /> {workstationName()}
          </span>
        </div>
        <Menu
          className="menu"
          aria-label={text.menu.open}
          onAction={(key) => {
            if (key === 'rename') rename();
            if (key === 'logout') logout();
          }}
        >
          <MenuSection
            selectionMode="single"
            disallowEmptySelection
            selectedKeys={[theme]}
            onSelectionChange={(keys) => setTheme([...(keys as Set<Theme>)][0] ?? 'system')}
          >
            <Header>{text.menu.theme}</Header>
            {THEMES.map((each) => (
              <Choice key={each} id={each} name={text.menu[each]} />
            ))}
          </MenuSection>
          <Separator />
          <MenuSection
            selectionMode="single"
            disallowEmptySelection
            selectedKeys={[language]}
            onSelectionChange={(keys) => choose([...(keys as Set<Language>)][0] ?? 'de')}
          >
            <Header>{text.menu.language}</Header>
            {LANGUAGES.map((each) => (
              <Choice key={each} id={each} name={languageName(each)} />
            ))}
          </MenuSection>
          <Separator />
          <MenuItem id="rename">{text.menu.rename}</MenuItem>
          <MenuItem id="logout">{text.menu.logout}</MenuItem>
        </Menu>
      </Popover>
    </MenuTrigger>
  );
}

function Choice({ id, name }: { id: string; name: string }) {
  return (
    <MenuItem id={id} textValue={name}>
      {({ isSelected }) => (
        <>
          <span className="menu-check">{isSelected && <Check aria-hidden size={16} />}</span>
          {name}
        </>
      )}
    </MenuItem>
  );
}

function RenameDialog({ isOpen, close, rename }: { isOpen: boolean; close(): void; rename(name: string): void }) {
  const text = useText();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const name = String(new FormData(event.currentTarget).get('workstation') ?? '').trim();
    if (name === '') return;
    if (name !== workstationName()) rename(name);
    close();
  };
  return (
    <ModalOverlay className="overlay" isOpen={isOpen} onOpenChange={(open) => !open && close()} isDismissable>
      <Modal className="modal">
        <Dialog className="dialog">
          <Heading slot="title">{text.menu.rename.replace(' …', '')}</Heading>
          <Form className="stack" onSubmit={submit}>
            <TextField name="workstation" defaultValue={workstationName()} isRequired maxLength={40} autoFocus className="field">
              <Label>{text.login.workstation}</Label>
              <Input />
              <AriaText slot="description">{text.menu.renameHint}</AriaText>
            </TextField>
            <div className="buttons">
              <Button className="button" onPress={close}>
                {text.cancel}
              </Button>
              <Button className="button primary" type="submit">
                {text.save}
              </Button>
            </div>
          </Form>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
