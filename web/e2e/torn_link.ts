/** A TCP link between browser and node that can be torn, so that loss is the real thing and not a mocked socket. */
import { connect, createServer, type Server, type Socket } from 'node:net';

export class TornLink {
  private readonly pairs = new Set<[Socket, Socket]>();
  private open = true;
  private server: Server | undefined;
  origin = '';

  constructor(private readonly target: URL) {}

  async listen(): Promise<void> {
    const port = Number(this.target.port || (this.target.protocol === 'https:' ? 443 : 80));
    const server = createServer((inner) => {
      if (!this.open) return inner.destroy();
      const outer = connect(port, this.target.hostname);
      const pair: [Socket, Socket] = [inner, outer];
      this.pairs.add(pair);
      for (const [from, to] of [pair, [outer, inner]] as [Socket, Socket][]) {
        from.on('data', (bytes) => to.write(bytes));
        from.on('error', () => to.destroy());
        from.on('close', () => {
          to.destroy();
          this.pairs.delete(pair);
        });
      }
      return undefined;
    });
    this.server = server;
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the link has no port');
    this.origin = `${this.target.protocol}//127.0.0.1:${address.port}`;
  }

  /** Ends every connection and refuses new ones. */
  tear(): void {
    this.open = false;
    for (const [inner, outer] of this.pairs) {
      inner.destroy();
      outer.destroy();
    }
  }

  mend(): void {
    this.open = true;
  }

  async close(): Promise<void> {
    this.tear();
    await new Promise((done) => this.server?.close(done));
  }
}
