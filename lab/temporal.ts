import { TEMPORAL_NAMESPACE, type LabConfig, type TemporalConfig } from './config.ts';
import { HttpClient } from './http.ts';
import { binaryOf, notPartOfThisLab } from './launch.ts';
import { labPaths } from './paths.ts';
import { type Launch } from './process.ts';

export function temporalAddress(config: LabConfig): string {
  return `127.0.0.1:${temporalConfig(config).port}`;
}

/** The dev server, with its state in a file: workflows survive its end. */
export function temporalLaunch(config: LabConfig): Launch {
  const paths = labPaths(config.dir);
  const { port, uiPort, httpPort, metricsPort } = temporalConfig(config);
  return {
    name: 'temporal',
    command: binaryOf(config, 'temporal'),
    args: [
      'server',
      'start-dev',
      `--db-filename=${paths.temporal}`,
      '--ip=127.0.0.1',
      '--ui-ip=127.0.0.1',
      `--port=${port}`,
      `--ui-port=${uiPort}`,
      `--http-port=${httpPort}`,
      `--metrics-port=${metricsPort}`,
      '--log-level=warn',
      '--search-attribute=KeyferryPhase=Keyword',
      '--search-attribute=KeyferryCluster=Keyword',
    ],
    log: paths.log('temporal'),
    readyWithinMs: 90_000,
    ready: async () => {
      const client = new HttpClient(`http://127.0.0.1:${httpPort}`, { timeoutMs: 5_000 });
      try {
        // The port opens before the namespace and the search attributes are there.
        const answer = await client.request(
          'GET',
          `/api/v1/namespaces/${TEMPORAL_NAMESPACE}/search-attributes`,
        );
        return (
          answer.status === 200 && /KeyferryPhase/.test(answer.text) && /KeyferryCluster/.test(answer.text)
        );
      } finally {
        client.close();
      }
    },
  };
}

export function temporalConfig(config: LabConfig): TemporalConfig {
  if (config.temporal === undefined) throw notPartOfThisLab('temporal');
  return config.temporal;
}
