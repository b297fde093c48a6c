import { beforeEach, describe, expect, test } from '@jest/globals';
import { restartOnce } from './restart-once.ts';

class Run {
  state: { restarted: Record<string, string> } = { restarted: { 'cp-1': 'sha256:1', 'cp-2': 'sha256:old' } };

  patch(change: { restarted: Record<string, string> }): void {
    this.state = { ...this.state, ...change };
  }
}

describe('a restart for a file', () => {
  let run: Run;
  beforeEach(() => {
    run = new Run();
  });

  test('is remembered, from its beginning on', async () => {
    await restartOnce(run, 'cp-2', 'sha256:2', () => {
      expect(run.state.restarted).toEqual({ 'cp-1': 'sha256:1', 'cp-2': 'sha256:2' });
      return Promise.resolve();
    });
    expect(run.state.restarted).toEqual({ 'cp-1': 'sha256:1', 'cp-2': 'sha256:2' });
  });

  test('that was stopped before anybody took it up is not: the next run asks for it', async () => {
    const stopped = restartOnce(run, 'cp-2', 'sha256:2', () => {
      run.patch({ restarted: { ...run.state.restarted, 'cp-1': 'sha256:3' } });
      return Promise.reject(new Error('cancelled'));
    });
    await expect(stopped).rejects.toThrow('cancelled');
    expect(run.state.restarted).toEqual({ 'cp-1': 'sha256:3', 'cp-2': '' });
  });
});
