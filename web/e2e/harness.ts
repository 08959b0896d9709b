/**
 * The node under test and browsers at it.
 *
 *   VERBUND_URL, VERBUND_USER, VERBUND_PASSWORD   a running node; without them the mock node of this folder serves dist/
 *   VERBUND_RENAME    shell command that gives record $VERBUND_KEY (id $VERBUND_ID) the family name $VERBUND_NAME
 *   VERBUND_BIN       without VERBUND_RENAME: `$VERBUND_BIN import FILE` brings a patient of that name
 *   VERBUND_SHOTS     directory for screenshots
 *   VERBUND_CHROMIUM  browser, default /usr/bin/chromium
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from 'playwright-core';
import { MockNode } from './mock-node.mjs';
import { TornLink } from './torn_link';

const run = promisify(execFile);
const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];
const axeSource = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

export interface Node {
  url: string;
  user: string;
  password: string;
  mock: MockNode | null;
}

export async function startNode(): Promise<Node> {
  const { VERBUND_URL: url, VERBUND_USER: user, VERBUND_PASSWORD: password } = process.env;
  if (url) {
    if (!user || !password) throw new Error('VERBUND_URL is set, but VERBUND_USER or VERBUND_PASSWORD is missing');
    return { url, user, password, mock: null };
  }
  const mock = new MockNode({ dist: fileURLToPath(new URL('../dist', import.meta.url)) });
  process.stdout.write('e2e: no VERBUND_URL, so the page is tested against the mock node\n');
  return { url: await mock.listen(), user: 'anna', password: 'anna-geheim', mock };
}

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: process.env['VERBUND_CHROMIUM'] ?? '/usr/bin/chromium', args: FLAGS });
}

/** One person at one workstation: a browser context of its own, behind a link of its own. */
export class Desk {
  private static readonly all: Desk[] = [];

  private constructor(
    readonly context: BrowserContext,
    readonly page: Page,
    readonly link: TornLink,
    readonly problems: string[],
  ) {}

  static async open(browser: Browser, node: Node, options: BrowserContextOptions = {}, before?: (page: Page) => Promise<void>): Promise<Desk> {
    const link = new TornLink(new URL(node.url));
    await link.listen();
    const context = await browser.newContext({
      locale: 'de-DE', timezoneId: 'Europe/Berlin', viewport: { width: 1360, height: 820 }, ignoreHTTPSErrors: true, ...options,
    });
    context.setDefaultTimeout(20_000);
    const page = await context.newPage();
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (message) => {
      // Failed requests are what a torn link is about; everything else, above all a CSP violation, is a fault.
      if (message.type() === 'error' && !/Failed to load resource|WebSocket connection/.test(message.text())) {
        problems.push(message.text());
      }
    });
    await before?.(page);
    await page.goto(link.origin);
    const desk = new Desk(context, page, link, problems);
    Desk.all.push(desk);
    return desk;
  }

  async logIn(node: Node, workstation: string): Promise<void> {
    await this.page.getByLabel(/^(Benutzer|User)$/).fill(node.user);
    await this.page.getByLabel(/^(Kennwort|Password)$/).fill(node.password);
    await this.page.getByLabel(/^(Arbeitsplatz|Workstation)$/).fill(workstation);
    await this.page.getByRole('button', { name: /^(Anmelden|Log in)$/ }).click();
    await this.connected();
    await this.page.getByRole('treeitem', { level: 2 }).first().waitFor();
  }

  connected(): Promise<void> {
    return this.page.getByTestId('connection').getByText(/^(Verbunden|Connected)$/).waitFor();
  }

  row(key: string) {
    return this.page.locator(`[role=treeitem][data-key="${key}"]`);
  }

  /** Keys of the lines that the tree shows now. */
  async keys(): Promise<string[]> {
    const rows = await this.page.getByRole('treeitem', { level: 2 }).all();
    const keys = await Promise.all(rows.map((row) => row.getAttribute('data-key')));
    return keys.filter((key): key is string => key !== null);
  }

  banner(words: string | RegExp) {
    return this.page.getByTestId('lock-banner').getByText(words);
  }

  search(text: string): Promise<void> {
    return this.page.getByRole('searchbox').fill(text);
  }

  async shot(name: string): Promise<void> {
    const folder = process.env['VERBUND_SHOTS'];
    if (!folder) return;
    await mkdir(folder, { recursive: true });
    await this.page.screenshot({ path: join(folder, `${name}.png`), animations: 'disabled' });
  }

  /** What axe-core finds against WCAG 2 A and AA. */
  async accessibilityProblems(): Promise<string[]> {
    await this.page.evaluate(`${await readFile(axeSource, 'utf8')};0`); // evaluated, not added: the CSP forbids inline scripts
    return this.page.evaluate(async () => {
      const axe = (globalThis as unknown as { axe: { run(context: Document, options: object): Promise<AxeResult> } }).axe;
      const result = await axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] });
      return result.violations.map(({ id, nodes }) => `${id}: ${nodes.map((each) => each.html.slice(0, 200)).join(' | ')}`);
    });
  }

  /** Closes what a test has opened and returns the faults that the pages have reported. */
  static async closeAll(): Promise<string[]> {
    const desks = Desk.all.splice(0);
    for (const desk of desks) await desk.close();
    return desks.flatMap((desk) => desk.problems);
  }

  /** Logs out where somebody is logged in: a session left behind keeps its locks for the reconnect window. */
  private async close(): Promise<void> {
    this.link.mend();
    const menu = this.page.getByRole('button', { name: /Benutzermenü|User menu/ });
    if (await menu.isVisible()) {
      await menu.click();
      await this.page.getByRole('menuitem', { name: /Abmelden|Log out/ }).click();
      await this.page.getByRole('heading', { name: /Anmelden|Log in/ }).waitFor();
    }
    await this.context.close();
    await this.link.close();
  }
}

interface AxeResult {
  violations: { id: string; nodes: { html: string }[] }[];
}

/** Changes the database as another program would. Returns the key whose label must now show `name`, if it is known. */
export async function rename(node: Node, key: string, name: string): Promise<void> {
  if (node.mock) return node.mock.change(key, { label: `${name}, Erika (01.02.1960)` });
  const command = process.env['VERBUND_RENAME'];
  const env = { ...process.env, VERBUND_KEY: key, VERBUND_ID: key.split('/')[1] ?? '', VERBUND_NAME: name };
  if (command) {
    await run('/bin/sh', ['-c', command], { env });
    return;
  }
  await importPatient(name);
}

async function importPatient(family: string): Promise<void> {
  const binary = process.env['VERBUND_BIN'];
  if (!binary) throw new Error('set VERBUND_RENAME or VERBUND_BIN, so that the test can change a record');
  const folder = await mkdtemp(join(tmpdir(), 'verbund-e2e-'));
  const file = join(folder, 'patient.json');
  const patient = {
    resourceType: 'Patient', id: `e2e-${family.toLowerCase()}`, identifier: [{ system: 'urn:verbund:e2e', value: family }],
    name: [{ use: 'official', family, given: ['Erika'] }], gender: 'female', birthDate: '1960-02-01',
  };
  try {
    await writeFile(file, JSON.stringify(patient));
    await run(binary, ['import', file]);
  } finally {
    await rm(folder, { recursive: true });
  }
}
