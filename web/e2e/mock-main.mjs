// `npm run mock -- PORT`: the page from dist/ against the in-memory node. `R` + Enter renames patient 1.
import { fileURLToPath } from 'node:url';
import { MockNode } from './mock-node.mjs';

const node = new MockNode({ dist: fileURLToPath(new URL('../dist', import.meta.url)), patients: 20_000 });
const url = await node.listen(Number(process.argv[2] ?? 0));
process.stdout.write(`${url}  anna / anna-geheim, bernd / bernd-geheim\n`);
process.stdin.on('data', () => node.change('patient/1', { label: `Änderung, ${new Date().toLocaleTimeString()}` }));
