import { isFullyQualified, kmsV2Limits } from '../envelope/limits.ts';
import type { Check } from '../plan/preflight.ts';
import { strangeInputs, type PluginExamination, type PluginSeal, type StrangeInput } from './examination.ts';
import type { PluginStatus } from './client.ts';
import { fail, failed, line, pass, times, told, warn, type Finding } from './finding.ts';
import { kmsV2Protocol } from './service.ts';

/** A part of the deadline from which an answer counts as slow: an API server that is busy itself needs the rest. */
const slowPart = 1 / 3;

/**
 * Judges what was seen of a KMS v2 plugin, by what API servers check and by what goes wrong where they don't: pure. A plugin
 * that answers nothing gets one check.
 */
export function judgePlugin(examination: PluginExamination): Check[] {
  const { rounds, socket } = examination;
  const statuses = rounds.flatMap(({ before, after }) => answersOf([before, after]));
  const seals = answersOf(rounds.map(({ sealed }) => sealed));
  const [round] = rounds;
  if (round === undefined) return [];
  if (statuses.length === 0 && seals.length === 0) {
    const trouble = 'trouble' in round.before ? round.before.trouble : undefined;
    return [
      {
        name: 'plugin answers',
        outcome: 'fail',
        detail: trouble?.message ?? '',
        remedy: trouble?.remedy ?? '',
        passing: true,
      },
    ];
  }
  return [
    { name: 'socket permissions', ...socketPermissions(socket) },
    { name: 'version', ...version(statuses) },
    { name: 'health', ...health(examination, statuses) },
    { name: 'round trip', ...roundTrip(examination) },
    { name: 'key id', ...keyIds(statuses, seals) },
    { name: 'key id of Encrypt', ...agreement(examination) },
    { name: 'key id steady', ...steadiness(examination) },
    ...(seals.length === 0
      ? []
      : [
          { name: 'ciphertext', ...ciphertext(seals) },
          { name: 'annotations', ...annotations(seals) },
        ]),
    ...strangeInputs.flatMap((input) => {
      const outcome = examination.strange?.[input];
      return outcome === undefined ? [] : [{ name: `${input} refused`, ...strangeInput(input, outcome) }];
    }),
    { name: 'latency', ...latency(examination) },
  ];
}

function socketPermissions(socket: PluginExamination['socket']): Finding {
  if (socket === undefined) {
    return warn('the file system does not tell', 'run the check as a user that may look at the socket');
  }
  const { mode, open, folderMode } = socket;
  const octal = (bits: number): string => `0${bits.toString(8)}`;
  if ((folderMode & 0o002) !== 0 && (folderMode & 0o1000) === 0) {
    return fail(
      `its folder has mode ${octal(folderMode)}: any user can put another socket in its place`,
      'give the socket a folder that its owner alone can write',
    );
  }
  if ((mode & 0o002) !== 0 && open) {
    return fail(
      `mode ${octal(mode)}: any user of this machine can have keys unwrapped`,
      'let its owner alone read and write the socket (0600)',
    );
  }
  if ((mode & 0o020) !== 0) {
    return warn(
      `mode ${octal(mode)}: its group can have keys unwrapped`,
      'let its owner alone read and write the socket (0600), or see who is in the group',
    );
  }
  return pass(
    (mode & 0o002) === 0 ? `mode ${octal(mode)}` : `mode ${octal(mode)}, in a folder others can't enter`,
  );
}

function version(statuses: readonly PluginStatus[]): Finding {
  const other = statuses.find((status) => status.version !== kmsV2Protocol.version);
  if (statuses.length === 0) return fail('Status does not answer', 'see "health"');
  if (other === undefined) return pass('v2');
  return fail(
    `Status answers version ${told(other.version)}, not "v2"`,
    'take a release of the plugin that speaks KMS v2 as it became stable: API servers refuse another version',
  );
}

/** Whether Status says ok, and whether that is true. */
function health({ rounds, opened }: PluginExamination, statuses: readonly PluginStatus[]): Finding {
  for (const { before, sealed, after } of rounds) {
    for (const status of [before, after]) {
      if ('trouble' in status) return failed('Status', status.trouble);
    }
    const unwell = answersOf([before, after]).find(({ healthz }) => healthz !== kmsV2Protocol.healthy);
    if (unwell !== undefined) {
      const works = 'answer' in sealed ? ', while Encrypt works' : '';
      return {
        ...fail(
          `Status is not ok: ${line(unwell.healthz)}${works}`,
          'mend what it says: API servers stop writing 3 minutes after the last "ok"',
        ),
        passing: true,
      };
    }
    const trouble = 'trouble' in sealed ? sealed.trouble : troubleOf(opened);
    if (trouble !== undefined) {
      return {
        ...fail(
          `Status says "ok", while ${'trouble' in sealed ? 'Encrypt' : 'Decrypt'} fails: ${line(trouble.message)}`,
          'have Status try the key: API servers take its word, and find out by failing',
        ),
        passing: true,
      };
    }
  }
  return pass(`"ok" in ${statuses.length} answers, and Encrypt works`);
}

function roundTrip({ rounds, opened }: PluginExamination): Finding {
  for (const { sealed } of rounds) if ('trouble' in sealed) return failed('Encrypt', sealed.trouble);
  if (opened === undefined) return fail('nothing was sealed', 'see "health"');
  if ('trouble' in opened) return failed('Decrypt', opened.trouble);
  if (opened.answer) return pass('Decrypt answers what was sealed');
  return fail(
    'Decrypt answers other bytes than were given to Encrypt',
    'do not use this plugin: what it seals can not be read again',
  );
}

function keyIds(statuses: readonly PluginStatus[], seals: readonly PluginSeal[]): Finding {
  const all = [
    ...statuses.map(({ keyId }) => ['Status', keyId] as const),
    ...seals.map(({ keyId }) => ['Encrypt', keyId] as const),
  ];
  for (const [call, keyId] of all) {
    const bytes = Buffer.byteLength(keyId);
    if (bytes < 1 || bytes > kmsV2Limits.keyIdBytes) {
      return {
        ...fail(
          bytes === 0 ? `the key id of ${call} is empty` : `the key id of ${call} has ${bytes} bytes`,
          `answer a key id of 1 to ${kmsV2Limits.keyIdBytes} bytes: API servers refuse another`,
        ),
        // A plugin that hasn't met its key service yet has none.
        ...(bytes === 0 ? { passing: true as const } : {}),
      };
    }
  }
  const keyId = all[0]?.[1] ?? '';
  if (/^v?\d+$/.test(keyId)) {
    return warn(
      `the key id ${told(keyId)} is a bare number: another key's may be the same`,
      'have the key id name the key service, account and key as well',
    );
  }
  return pass(line(keyId));
}

/** Encrypt's key id is that of Status right before or right after: it may change in between. */
function agreement({ rounds }: PluginExamination): Finding {
  let compared = 0;
  for (const { before, sealed, after } of rounds) {
    const named = answersOf([before, after]).map(({ keyId }) => keyId);
    if ('trouble' in sealed || named.length === 0) continue;
    compared += 1;
    if (named.includes(sealed.answer.keyId)) continue;
    return fail(
      `Encrypt used the key id ${told(sealed.answer.keyId)}, Status said ${told(named[0] ?? '')}`,
      'answer both from one place: API servers take every object for stale, and rewrite it, when the two differ',
    );
  }
  if (compared === 0) return warn('there was nothing to compare', 'see "health"');
  return pass(`as Status says, ${times(compared)}`);
}

function steadiness({ rounds, forMs }: PluginExamination): Finding {
  const named = rounds.flatMap(({ before, after }) => answersOf([before, after]).map(({ keyId }) => keyId));
  const periods = named.filter((keyId, i) => keyId !== named[i - 1]);
  const changes = periods.length - 1;
  const looked = `${named.length} looks within ${Math.round(forMs / 1000)} s`;
  const returned = periods.find((keyId, i) => periods.indexOf(keyId) < i);
  if (returned !== undefined) {
    return fail(
      `the key id ${told(returned)} was left and came back (${changes} changes in ${looked})`,
      'never answer a key id again that was left: API servers would take old objects for current; look for two plugins, or two nodes, behind one key',
    );
  }
  if (changes > 0) {
    return warn(
      `the key id changed ${times(changes)} in ${looked}, now ${told(named.at(-1) ?? '')}`,
      'see that the key was rotated on purpose, and check again until it is steady',
    );
  }
  return pass(looked);
}

function ciphertext(seals: readonly PluginSeal[]): Finding {
  const shown = seals.find(({ showsPlaintext }) => showsPlaintext);
  if (shown !== undefined) {
    return fail(
      'the plaintext stands in what Encrypt answers',
      'do not use this plugin: it encrypts nothing, and every key lies open in etcd',
    );
  }
  const sizes = seals.map(({ ciphertextBytes }) => ciphertextBytes);
  const wrong = sizes.find((bytes) => bytes < 1 || bytes > kmsV2Limits.dekSourceBytes);
  if (wrong === undefined) return pass(`${Math.max(...sizes)} bytes at most`);
  return fail(
    `${wrong} bytes`,
    `answer a ciphertext of 1 to ${kmsV2Limits.dekSourceBytes} bytes: API servers refuse another; what needs more room goes into annotations`,
  );
}

function annotations(seals: readonly PluginSeal[]): Finding {
  for (const { annotationNames, annotationBytes } of seals) {
    const name = annotationNames.find((one) => !isFullyQualified(one));
    if (name !== undefined) {
      return fail(
        `the annotation name ${told(name)} is not a fully qualified domain name`,
        'name annotations as in "kek.plugin.example.com": API servers refuse others',
      );
    }
    if (annotationBytes > kmsV2Limits.annotationBytes) {
      return fail(
        `${annotationBytes} bytes, names and values together`,
        `keep them within ${kmsV2Limits.annotationBytes} bytes: API servers refuse more`,
      );
    }
  }
  const most = Math.max(...seals.map(({ annotationBytes }) => annotationBytes));
  return pass(most === 0 ? 'none' : `${most} bytes at most`);
}

const remedies: Readonly<Record<StrangeInput, string>> = {
  'wrong key id':
    'have Decrypt refuse a key id that is not of its key: one that ignores it hides a mixed-up configuration',
  garbage: 'have Decrypt refuse what it did not seal: use authenticated encryption',
  'truncated ciphertext': 'have Decrypt refuse what was cut off: use authenticated encryption',
  'flipped bit': 'have Decrypt refuse what was changed: use authenticated encryption',
};

function strangeInput(input: StrangeInput, outcome: 'same' | 'other' | 'refused' | 'unanswered'): Finding {
  switch (outcome) {
    case 'refused':
      return pass('refused');
    case 'same':
      return fail('Decrypt opened it all the same', remedies[input]);
    case 'other':
      return fail('Decrypt answered other bytes than were sealed', remedies[input]);
    case 'unanswered':
      return warn(
        'Decrypt said neither yes nor no: the plugin was not available, or not in time',
        'have Decrypt refuse at once what it will never open; an API server repeats what was not answered',
      );
  }
}

function latency({ slowest, timeoutMs }: PluginExamination): Finding {
  const detail = `${slowest.ms} ms at most (${slowest.call}), of the ${timeoutMs} ms that an API server waits`;
  if (slowest.ms <= timeoutMs * slowPart) return pass(detail);
  return warn(
    detail,
    'look into the key service and the way to it: when it is slower still, reads and writes fail',
  );
}

function answersOf<T>(all: readonly ({ answer: T } | { trouble: unknown })[]): T[] {
  return all.flatMap((one) => ('answer' in one ? [one.answer] : []));
}

function troubleOf(opened: PluginExamination['opened']): { message: string } | undefined {
  return opened !== undefined && 'trouble' in opened ? opened.trouble : undefined;
}
