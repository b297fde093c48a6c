/** The one-way imports of docs/ARCHITECTURE.md ("Rooms"). */
const rule = (name, comment, from, to) => ({ name, comment, severity: 'error', from: { path: from }, to });

module.exports = {
  forbidden: [
    rule('no-cycles', 'Two files that need each other are one file, or three.', '.', { circular: true }),
    rule(
      'workflows-only-plan-and-types',
      'Workflows orchestrate: they call src/plan and know types, nothing else.',
      '^workflows/',
      { path: '^(src/(?!plan/)|lab/|activities/)', dependencyTypesNot: ['type-only'] },
    ),
    rule('workflows-no-node', 'The workflow bundle runs without Node.', '^(workflows|src/plan)/', {
      dependencyTypes: ['core'],
    }),
    rule(
      'activities-not-to-workflow-code',
      'Activities share wire types with workflows, never code.',
      '^activities/',
      {
        path: '^workflows/',
        dependencyTypesNot: ['type-only'],
      },
    ),
    rule(
      'pure-rooms',
      'src/plan and src/envelope import nothing of the project but types.',
      '^src/(plan|envelope)/',
      {
        path: '^(src/(?!$1/)|workflows/|activities/|lab/)',
        dependencyTypesNot: ['type-only'],
      },
    ),
    rule('census-apart', 'The census proves the rewriting: they share no code.', '^src/census/', {
      path: '^src/rewrite/',
    }),
    rule('rewrite-apart', 'The census proves the rewriting: they share no code.', '^src/rewrite/', {
      path: '^src/census/',
    }),
    rule(
      'src-below',
      'src is below workflows and activities; only the worker and the CLI wire them.',
      '^src/(?!worker/|cli/)',
      {
        path: '^(workflows|activities|lab)/',
        dependencyTypesNot: ['type-only'],
      },
    ),
    rule('nobody-imports-the-cli', 'The CLI is a leaf.', '^(src/(?!cli/)|workflows|activities|lab)/', {
      path: '^src/cli/',
    }),
    rule(
      'lab-apart',
      'The lab is for trying keyferry out; keyferry does not need it.',
      '^(src/(?!cli/)|workflows|activities)/',
      {
        path: '^lab/',
      },
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '\\.test\\.ts$' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.js'] },
  },
};
