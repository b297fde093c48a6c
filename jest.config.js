import { availableParallelism } from 'node:os';

const shared = {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2024' }, module: { type: 'es6' } },
    ],
  },
};

const withLabs = {
  ...shared,
  globalSetup: '<rootDir>/test/support/run-set-up.js',
  globalTeardown: '<rootDir>/test/support/run-clean-up.js',
};

/** Unit tests sit beside what they test; integration tests start real servers. */
export default {
  // Labs wait more than they work: three side by side even where there are two cores only.
  maxWorkers: Math.max(3, Math.floor(availableParallelism() / 2)),
  // No test waits for time to pass: this is for machines that do other work as well.
  testTimeout: 60_000,
  testSequencer: '<rootDir>/test/support/longest-first.js',
  reporters: ['default', '<rootDir>/test/support/closing-line.js'],
  projects: [
    {
      ...shared,
      displayName: 'unit',
      testMatch: ['<rootDir>/{src,workflows,activities,lab,test/replay,test/chaos,test/matrix}/**/*.test.ts'],
    },
    {
      ...withLabs,
      displayName: 'integration',
      testMatch: ['<rootDir>/test/integration/**/*.test.ts'],
    },
    {
      // What takes too long for every run; each by a script of its own.
      ...withLabs,
      displayName: 'long',
      testMatch: ['<rootDir>/test/long/**/*.test.ts'],
    },
  ],
};
