// Holds the page to its budget: all JS and CSS of dist/ together, gzip-compressed.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const LIMIT_KIB = 200;
const assets = fileURLToPath(new URL('../dist/assets/', import.meta.url));
const files = readdirSync(assets).filter((name) => /\.(js|css)$/.test(name));
const bytes = files.reduce((sum, name) => sum + gzipSync(readFileSync(assets + name), { level: 9 }).length, 0);
const kib = (bytes / 1024).toFixed(1);
process.stdout.write(`JS and CSS: ${kib} KiB compressed of ${LIMIT_KIB} KiB\n`);
if (bytes > LIMIT_KIB * 1024) {
  process.stderr.write(`the page is too large: ${kib} KiB compressed, the limit is ${LIMIT_KIB} KiB\n`);
  process.exitCode = 1;
}
