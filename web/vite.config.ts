import optimizeLocales from '@react-aria/optimize-locales-plugin';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// `npm run dev` serves the sources and hands everything else to a running node.
const node = process.env['VERBUND_URL'] ?? 'http://127.0.0.1:2222';

export default defineConfig({
  plugins: [react(), { ...optimizeLocales.vite({ locales: ['de-DE', 'en-US'] }), enforce: 'pre' }],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // the page's Content-Security-Policy allows no data: URLs
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700, // one chunk on purpose; tools/check-size.mjs holds the compressed size to its budget
    reportCompressedSize: true,
  },
  server: {
    proxy: {
      '/api': { target: node, secure: false },
      '/ws': { target: node, ws: true, secure: false },
    },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
