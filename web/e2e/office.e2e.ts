import { randomInt } from 'node:crypto';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Desk, launch, rename, startNode, type Node } from './harness';

let node: Node;
let browser: Browser;

beforeAll(async () => {
  node = await startNode();
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await node?.mock?.close();
});

afterEach(async () => {
  expect(await Desk.closeAll()).toEqual([]);
});

describe('the login', () => {
  test('refuses a wrong password, says why, and is accessible', async () => {
    const desk = await Desk.open(browser, node);
    await desk.page.getByLabel('Benutzer').fill(node.user);
    await desk.page.getByLabel('Kennwort').fill('falsch');
    await desk.shot('login');
    expect(await desk.accessibilityProblems()).toEqual([]);
    await desk.page.getByRole('button', { name: 'Anmelden' }).click();
    await desk.page.getByRole('alert').getByText('Benutzer oder Kennwort stimmt nicht.').waitFor();
    await desk.page.getByLabel('Kennwort').and(desk.page.locator(':focus')).waitFor(); // ready to be typed over
    const marked = await desk.page.getByLabel('Kennwort').evaluate((input: HTMLInputElement) => [input.selectionStart, input.selectionEnd]);
    expect(marked).toEqual([0, 'falsch'.length]);
    await desk.page.getByRole('button', { name: 'English' }).click();
    await desk.page.getByRole('heading', { name: 'Log in' }).waitFor();
  });
});

describe('two workstations', () => {
  let a: Desk;
  let b: Desk;
  let key: string;

  beforeEach(async () => {
    a = await Desk.open(browser, node);
    await a.logIn(node, 'Empfang 1');
    b = await Desk.open(browser, node);
    await b.logIn(node, 'Sprechzimmer 2');
    key = (await a.keys())[2] ?? '';
    expect(key).not.toBe('');
  });

  test('opening a record locks it, and the other one sees who holds it and can not edit', async () => {
    await a.row(key).click();
    await a.banner('In Bearbeitung durch Sie').waitFor();
    await b.row(key).getByText(/gesperrt durch .*, Empfang 1/).waitFor();
    await b.row(key).click();
    await b.banner(new RegExp(`Gesperrt durch ${node.user}`)).waitFor();
    await b.banner(/Arbeitsplatz Empfang 1, seit/).waitFor();
    expect(await b.page.getByRole('button', { name: 'Arbeitssperre anfordern' }).count()).toBe(0);
    await a.shot('record-mine');
    await b.shot('record-held');
    expect(await a.accessibilityProblems()).toEqual([]);
    expect(await b.accessibilityProblems()).toEqual([]);

    await a.page.getByRole('button', { name: 'Schließen und freigeben' }).click();
    await b.page.getByRole('button', { name: 'Arbeitssperre anfordern' }).click();
    await b.banner('In Bearbeitung durch Sie').waitFor();
    await a.row(key).getByText(/gesperrt durch .*, Sprechzimmer 2/).waitFor();
  });

  test('a change of a record shows in the tree of both', async () => {
    const name = `Zz${randomInt(1e6, 1e7)}`;
    await Promise.all([a.search(name), b.search(name)]);
    await a.page.getByText('Kein Patient passt zur Suche.').waitFor();
    await rename(node, key, name);
    const found = (desk: Desk) => desk.page.getByRole('treeitem', { level: 2 }).filter({ hasText: name });
    await Promise.all([found(a).waitFor(), found(b).waitFor()]);
    await b.shot('tree-changed');
  });

  test('a torn connection makes the page read-only at once; the button reconnects and the lock is still held', async () => {
    await a.row(key).click();
    await a.banner('In Bearbeitung durch Sie').waitFor();
    a.link.tear();
    const alert = a.page.getByTestId('connection-banner');
    await alert.getByText('Keine Verbindung zum Server – nur Ansicht').waitFor();
    await a.banner(/ohne Verbindung ist nur Ansicht möglich/).waitFor();
    expect(await a.page.locator('[data-editable=true]').count()).toBe(0);
    await a.page.getByText(/Nächster Versuch in/).waitFor();
    await a.shot('connection-lost');
    expect(await a.accessibilityProblems()).toEqual([]);
    await b.page.locator('.person-reconnecting', { hasText: 'Empfang 1' }).waitFor();
    // Long enough before the next attempt that it is the button that reconnects.
    await a.page.getByText(/Nächster Versuch in ([3-9]|1\d) s/).waitFor();
    a.link.mend();
    await a.page.getByRole('button', { name: 'Neu verbinden' }).click();
    await a.connected();
    await a.banner('Die Arbeitssperre gilt, bis Sie die Akte schließen.').waitFor();
    await b.row(key).getByText(/gesperrt durch .*, Empfang 1/).waitFor();
  });

  test('a torn connection comes back by itself', async () => {
    a.link.tear();
    await a.page.getByTestId('connection-banner').waitFor();
    a.link.mend();
    await a.connected();
    await a.page.getByTestId('connection-banner').waitFor({ state: 'detached' });
  });

  test('a reload of the page resumes the session with its lock', async () => {
    await a.row(key).click();
    await a.banner('In Bearbeitung durch Sie').waitFor();
    await a.page.reload();
    await a.connected();
    await a.banner('In Bearbeitung durch Sie').waitFor();
    await b.page.getByText('2 Arbeitsplätze').waitFor();
  });

  test('messages go to one workstation and to all', async () => {
    await a.page.getByRole('button', { name: 'Nachricht an Sprechzimmer 2' }).click();
    await a.page.getByLabel('Nachricht', { exact: true }).fill('Frau Müller ist da.');
    await a.shot('message-writing');
    await a.page.keyboard.press('Enter');
    await a.page.getByText('Gesendet an 1 Arbeitsplatz.').waitFor();
    const notice = b.page.getByRole('region', { name: 'Meldungen' });
    await notice.getByText('Frau Müller ist da.').waitFor();
    await b.shot('message-received');
    expect(await b.accessibilityProblems()).toEqual([]);
    await notice.getByRole('button', { name: 'Antworten' }).click();
    await b.page.getByLabel('Nachricht', { exact: true }).and(b.page.locator(':focus')).waitFor(); // an early key would go elsewhere
    await b.page.keyboard.type('Danke!');
    await b.page.keyboard.press('Enter');
    await a.page.getByRole('region', { name: 'Meldungen' }).getByText('Danke!').waitFor();
  });

  test('what the node says of its change log stands above everything, in the language of the page', async () => {
    const desk = await Desk.open(browser, node, {}, async (page) => {
      await page.routeWebSocket(/\/ws$/, (socket) => {
        const server = socket.connectToServer();
        server.onMessage((message) => {
          socket.send(message);
          const { welcome } = JSON.parse(String(message)) as { welcome?: unknown };
          const alarm = { event: 'feed', state: 'running', alarm: 'the server keeps 9 MB', alarm_de: 'der Server hält 9 MB zurück' };
          if (welcome) socket.send(JSON.stringify(alarm));
        });
      });
    });
    await desk.logIn(node, 'Büro');
    const banner = desk.page.getByTestId('feed-banner');
    await banner.getByText('Mit dem Änderungslog der Datenbank stimmt etwas nicht').waitFor();
    await banner.getByText('der Server hält 9 MB zurück').waitFor();
    await desk.shot('feed-alarm');
    expect(await desk.accessibilityProblems()).toEqual([]);
    desk.link.tear();
    await desk.page.getByTestId('connection-banner').waitFor();
    await banner.waitFor({ state: 'detached' });
    desk.link.mend();
    await desk.connected(); // so that its session ends with the test
  });

  test('logging out says goodbye: the lock is free and the other one sees it', async () => {
    await a.row(key).click();
    await a.banner('In Bearbeitung durch Sie').waitFor();
    await b.row(key).getByText(/gesperrt durch/).waitFor();
    await a.page.getByRole('button', { name: /Benutzermenü/ }).click();
    await a.shot('user-menu');
    await a.page.getByRole('menuitem', { name: 'Abmelden' }).click();
    await a.page.getByRole('heading', { name: 'Anmelden' }).waitFor();
    await b.row(key).getByText(/gesperrt durch/).waitFor({ state: 'detached' });
    await b.page.getByText('1 Arbeitsplatz', { exact: true }).waitFor();
  });
});

describe('the tree', () => {
  test('can be used with the keyboard alone', async () => {
    const desk = await Desk.open(browser, node);
    await desk.logIn(node, 'Labor');
    await desk.page.getByRole('tree').and(desk.page.locator(':focus')).waitFor(); // where the keyboard begins
    await desk.page.keyboard.press('ArrowDown');
    await desk.page.keyboard.press('ArrowDown');
    await desk.shot('tree-keyboard');
    await desk.page.keyboard.press('Enter');
    await desk.banner('In Bearbeitung durch Sie').waitFor();
    await desk.page.keyboard.press('Home');
    await desk.page.keyboard.press('ArrowLeft');
    await desk.page.locator('[role=treeitem][aria-level="1"][aria-expanded=false]').first().waitFor();
    await desk.page.keyboard.press('End');
    await desk.page.locator('[role=treeitem][data-active]').waitFor();
    await desk.page.getByRole('button', { name: 'Schließen und freigeben' }).focus();
    await desk.page.keyboard.press('Enter');
    await desk.page.getByText('Kein Patient geöffnet').waitFor();
    await desk.page.getByRole('tree').and(desk.page.locator(':focus')).waitFor(); // and where it goes on
  });
});

describe('looks', () => {
  const sizes = { narrow: { width: 360, height: 740 }, middle: { width: 900, height: 760 }, wide: { width: 1920, height: 1000 } };
  for (const [name, viewport] of Object.entries(sizes)) {
    test.each(['light', 'dark'] as const)(`${name}, %s: nothing sticks out sideways and axe finds nothing`, async (colorScheme) => {
      const desk = await Desk.open(browser, node, { viewport, colorScheme });
      await desk.logIn(node, 'Praxis am Markt');
      await desk.shot(`${name}-${colorScheme}-tree`);
      await desk.row((await desk.keys())[0] ?? '').click();
      await desk.banner('In Bearbeitung durch Sie').waitFor();
      await desk.page.locator('.card').first().waitFor();
      await desk.shot(`${name}-${colorScheme}-record`);
      expect(await desk.accessibilityProblems()).toEqual([]);
      expect(await desk.page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
      if (name === 'narrow') {
        await desk.page.getByRole('button', { name: 'Wer ist da' }).click();
        await desk.shot(`${name}-${colorScheme}-who`);
        expect(await desk.accessibilityProblems()).toEqual([]);
      }
    });
  }
});
