import { defineConfig } from 'vitest/config';

// Two browser contexts share one node, so the scenarios run one after the other.
export default defineConfig({
  test: {
    include: ['e2e/*.e2e.ts'],
    environment: 'node',
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
