import { describe, expect, it } from '@jest/globals';
import { diffArrangements, redactEncryptionConfiguration } from './index.ts';

const secret = Buffer.alloc(32, 'x').toString('base64');
const other = Buffer.alloc(16, 'y').toString('base64');

const text = `# kept by ops
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
      - aescbc:
          keys:
            - name: key1 # was ${other}
              secret: ${secret}
            # - name: key0
            #   secret: short
            - {name: key2, secret: "${other}"}
      - kms: {apiVersion: v2, name: vault, endpoint: "unix:///run/a.sock"}
`;

describe('a redacted text', () => {
  it('is the same text without its keys, also in comments', () => {
    expect(redactEncryptionConfiguration(text)).toBe(
      text
        .replaceAll(secret, '<redacted>')
        .replaceAll(other, '<redacted>')
        .replace('secret: short', 'secret: <redacted>'),
    );
  });

  it.each([
    ['a block scalar', `secret: |\n  ${secret}\n`],
    ['a folded key', `secret: "${secret.slice(0, 20)}\\\n  ${secret.slice(20)}"\n`],
    ['a misspelt field', `sekret: ${secret}\n`],
    ['a field in other case', `Secret: ${secret}\n`],
    ['a key without a field', `- ${secret}\n`],
    ['a key that is a field', `? ${secret}\n: x\n`],
    ['a key under an unknown field', `secret: {value: ${secret}}\n`],
    ['an alias', `x: &k ${secret}\nsecret: *k\n`],
    ['a field twice', `secret: ${secret}\nsecret: ${secret}\n`],
    ['a second document', `a: b\n---\nsecret: ${secret}\n`],
    ['a key that is copied into a name', `secret: ${secret}\nname: ${secret}\n`],
    ['JSON', JSON.stringify({ secret })],
    ['a text that is only a key', secret],
  ])('has no key in %s', (_, leaky) => {
    const shown = redactEncryptionConfiguration(leaky);
    expect(shown).not.toContain(secret.slice(0, 12));
    expect(shown).toContain('<redacted>');
  });

  it('is a message where the text is not YAML', () => {
    const shown = redactEncryptionConfiguration(`kind: "x\nsecret: ${secret}\n`);
    expect(shown).toMatch(/^# Not shown: the text is not valid YAML at line \d+/);
    expect(shown).not.toContain(secret);
  });
});

describe('a diff', () => {
  it('shows what changed, without keys', () => {
    const diff = diffArrangements(text, text.replace('name: key1', 'name: key9').replace(secret, other));
    expect(diff).toContain('+            - name: key9');
    expect(diff).not.toContain(other);
  });
  it('is empty when nothing changed', () => expect(diffArrangements(text, text)).toBe(''));
});
