import { createHash, createPublicKey, randomBytes } from 'node:crypto';
import type { AesGCM, Handle, Mechanism, RsaOAEP, Template } from 'pkcs11js';
import { blamesCiphertext, explainPkcs11, Pkcs11TokenError } from './pkcs11-errors.ts';
import {
  formatPkcs11KeyId,
  parsePkcs11KeyId,
  type Pkcs11KeyId,
  type Pkcs11Mechanism,
} from './pkcs11-key-id.ts';
import type { Pkcs11KeyOptions } from './pkcs11-messages.ts';
import {
  assertPresent,
  attempt,
  attributeOf,
  describe,
  findObjects,
  type Pkcs11Session,
} from './pkcs11-token.ts';

/** A key as it was found on the token just now. Handles aren't kept: whoever deletes or replaces a key is noticed. */
interface FoundKey extends Pkcs11KeyId {
  /** The secret key, or the private one of a pair. */
  readonly opens: Handle;
  /** The secret key, or the public one of a pair. */
  readonly seals: Handle;
  /** Bytes of an RSA modulus. */
  readonly modulusBytes?: number;
  readonly label: string;
}

/** How long a token counts as free of trouble after a round trip. */
const fineMs = 1_000;
const ivBytes = 12;
const tagBytes = 16;
/** CKZ_DATA_SPECIFIED, which pkcs11js doesn't name: OAEP's label is given, and empty. */
const dataSpecified = 1;
/** A CKA_ID that is longer, in bytes, would not fit a key id with the rest. */
const longestId = 128;
const hashBytes = { 'RSA-OAEP-SHA256': 32, 'RSA-OAEP-SHA1': 20 } as const;

/**
 * The keys of one token's session, by AES-GCM or RSA-OAEP.
 *
 * Ciphertexts: AES-GCM's is IV 12 ‖ ciphertext ‖ tag 16, without additional data; OAEP's is that of PKCS#1 (the hash for
 * MGF1 as well, no label). Methods throw {@link Pkcs11TokenError}.
 */
export class Pkcs11Keys {
  readonly #session: Pkcs11Session;
  readonly #options: Pkcs11KeyOptions;
  #fineUntil = 0;

  constructor(session: Pkcs11Session, options: Pkcs11KeyOptions) {
    this.#session = session;
    this.#options = options;
  }

  /** The key that the configuration means now, after a round trip through it: it is there, and may be used. */
  current(): { keyId: string; description: string } {
    const { key: wanted, mechanism } = this.#options;
    const [key, another] = this.#find(mechanism, wanted).sort(byIdDescending);
    if (key === undefined) throw this.#notFound(describe(wanted));
    if (another?.id === key.id) {
      throw unfit(
        `two keys have ${describe(wanted)} and the CKA_ID ${key.id}`,
        'give each a CKA_ID of its own',
      );
    }
    this.#tryOut(key);
    const { tokenLabel, tokenSerial } = this.#session;
    return {
      keyId: formatPkcs11KeyId(key),
      description: `key ${JSON.stringify(key.label)} (CKA_ID ${key.id}) by ${mechanism} on the token ${JSON.stringify(tokenLabel)}, serial ${tokenSerial}`,
    };
  }

  encrypt(plaintext: Buffer, keyId: string): Buffer {
    const key = this.#byId(keyId);
    const most = longestPlaintext(key);
    if (plaintext.length === 0 || plaintext.length > most) {
      throw new Pkcs11TokenError(
        'invalid',
        'Pkcs11PlaintextLength',
        `${key.mechanism} with this key takes 1 to ${most} bytes; these are ${plaintext.length}`,
        'use an AES key, or a longer RSA key',
      );
    }
    return attempt(`encrypt by ${key.mechanism}`, () => this.#seal(key, plaintext));
  }

  decrypt(ciphertext: Buffer, keyId: string): Buffer {
    const key = this.#byId(keyId);
    if (!fitsLength(key, ciphertext)) throw ciphertextInvalid(`${ciphertext.length} bytes can't be one`);
    try {
      return this.#open(key, ciphertext);
    } catch (error) {
      // Many tokens answer CKR_GENERAL_ERROR to a wrong tag, and to any trouble of their own as well. One that opens what
      // it has just sealed has no trouble.
      if (!blamesCiphertext(error) && Date.now() >= this.#fineUntil) {
        try {
          this.#tryOut(key);
          this.#fineUntil = Date.now() + fineMs;
        } catch {
          throw explainPkcs11(error, `decrypt by ${key.mechanism}`);
        }
      }
      throw ciphertextInvalid('the token refused it');
    }
  }

  /** A round trip of random bytes. */
  #tryOut(key: FoundKey): void {
    const plaintext = randomBytes(32);
    const opened = attempt(`encrypt and decrypt by ${key.mechanism}`, () =>
      this.#open(key, this.#seal(key, plaintext)),
    );
    if (opened.equals(plaintext)) return;
    throw unfit(`what the key ${key.id} sealed opened as something else`);
  }

  #seal(key: FoundKey, plaintext: Buffer): Buffer {
    const { module, handle } = this.#session;
    const byToken = this.#options.ivFrom === 'Token';
    const iv = byToken ? Buffer.alloc(ivBytes) : randomBytes(ivBytes);
    module.C_EncryptInit(handle, this.#mechanism(key.mechanism, iv), key.seals);
    const sealed = module.C_Encrypt(handle, plaintext, Buffer.alloc(2_048));
    if (key.mechanism !== 'AES-GCM') return Buffer.from(sealed);
    // A second value under an IV that was used before would give the key away.
    if (byToken && iv.every((byte) => byte === 0)) {
      throw unfit('the token left the choice of IVs to the plugin', 'set ivFrom: Plugin');
    }
    if (sealed.length !== plaintext.length + tagBytes) {
      throw unfit(`the token's AES-GCM answered ${sealed.length} bytes to ${plaintext.length}`);
    }
    // Read now: a token that chooses wrote its IV there.
    return Buffer.concat([iv, sealed]);
  }

  #open(key: FoundKey, ciphertext: Buffer): Buffer {
    const { module, handle } = this.#session;
    const skipped = key.mechanism === 'AES-GCM' ? ivBytes : 0;
    const iv = Buffer.from(ciphertext.subarray(0, skipped));
    module.C_DecryptInit(handle, this.#mechanism(key.mechanism, iv), key.opens);
    const room = Buffer.alloc(2_048);
    const opened = Buffer.from(module.C_Decrypt(handle, Buffer.from(ciphertext.subarray(skipped)), room));
    room.fill(0);
    return opened;
  }

  #mechanism(mechanism: Pkcs11Mechanism, iv: Buffer): Mechanism {
    const { api } = this.#session;
    const oaep = (hashAlg: number, mgf: number): Mechanism => {
      const parameter: RsaOAEP = { type: api.CK_PARAMS_RSA_OAEP, hashAlg, mgf, source: dataSpecified };
      return { mechanism: api.CKM_RSA_PKCS_OAEP, parameter };
    };
    switch (mechanism) {
      case 'AES-GCM': {
        const [ivBits, tagBits] = [ivBytes * 8, tagBytes * 8];
        const parameter: AesGCM = { type: api.CK_PARAMS_AES_GCM_v240, iv, ivBits, tagBits };
        return { mechanism: api.CKM_AES_GCM, parameter };
      }
      case 'RSA-OAEP-SHA256':
        return oaep(api.CKM_SHA256, api.CKG_MGF1_SHA256);
      case 'RSA-OAEP-SHA1':
        return oaep(api.CKM_SHA_1, api.CKG_MGF1_SHA1);
    }
  }

  /** The key that a key id means, if it is among those that the configuration means. */
  #byId(keyId: string): FoundKey {
    const { service, key: configured } = this.#options;
    const wanted = parsePkcs11KeyId(keyId);
    if (wanted?.service !== service) throw wrongKey(keyId, `it is not of ${service}`);
    const { id, mechanism, fingerprint } = wanted;
    // Keys with one label are versions of one key; without a label, the id names the only one.
    const { label } = configured;
    const ours = label !== undefined || id === configured.id;
    const versions = ours ? this.#find(mechanism, { id, ...(label === undefined ? {} : { label }) }) : [];
    const isIt = (key: FoundKey): boolean => key.fingerprint === fingerprint;
    const key = versions.find(isIt);
    if (key !== undefined) return key;
    if (versions.length > 0) throw wrongKey(keyId, 'the key with this CKA_ID is another one, made since');
    if (this.#find(mechanism, { id }).some(isIt)) {
      throw wrongKey(keyId, `its key does not have ${describe(configured)}`);
    }
    throw this.#notFound(`the id ${JSON.stringify(id)}`);
  }

  #find(mechanism: Pkcs11Mechanism, { label, id }: Pkcs11KeyOptions['key']): FoundKey[] {
    const { api } = this.#session;
    const aes = mechanism === 'AES-GCM';
    const named = (objectClass: number): Template => [
      { type: api.CKA_CLASS, value: objectClass },
      { type: api.CKA_KEY_TYPE, value: aes ? api.CKK_AES : api.CKK_RSA },
      ...(label === undefined ? [] : [{ type: api.CKA_LABEL, value: label }]),
      ...(id === undefined ? [] : [{ type: api.CKA_ID, value: Buffer.from(id, 'hex') }]),
    ];
    return findObjects(this.#session, named(aes ? api.CKO_SECRET_KEY : api.CKO_PRIVATE_KEY)).map((opens) => {
      const bytes = attributeOf(this.#session, opens, api.CKA_ID);
      if (bytes === undefined || bytes.length > longestId) {
        throw unfit(`a key that fits has no CKA_ID, or one longer than ${longestId} bytes`, 'give it one');
      }
      const found = {
        service: this.#options.service,
        id: bytes.toString('hex'),
        mechanism,
        label: attributeOf(this.#session, opens, api.CKA_LABEL)?.toString() ?? '',
        opens,
      };
      return aes
        ? { ...found, seals: opens, fingerprint: this.#checkValue(opens) }
        : { ...found, ...this.#publicHalf(opens, bytes) };
    });
  }

  #checkValue(key: Handle): string {
    const value = attributeOf(this.#session, key, this.#session.api.CKA_CHECK_VALUE);
    return value === undefined ? `serial-${this.#session.tokenSerial}` : `kcv-${value.toString('hex')}`;
  }

  /** The public key of a pair: the object that has the CKA_ID and the modulus of the private one. */
  #publicHalf(opens: Handle, id: Buffer): Pick<FoundKey, 'seals' | 'fingerprint' | 'modulusBytes'> {
    const { api } = this.#session;
    const modulus = attributeOf(this.#session, opens, api.CKA_MODULUS);
    const template = [
      { type: api.CKA_CLASS, value: api.CKO_PUBLIC_KEY },
      { type: api.CKA_KEY_TYPE, value: api.CKK_RSA },
      { type: api.CKA_ID, value: id },
      ...(modulus === undefined ? [] : [{ type: api.CKA_MODULUS, value: modulus }]),
    ];
    const [seals] = findObjects(this.#session, template);
    const exponent =
      seals === undefined ? undefined : attributeOf(this.#session, seals, api.CKA_PUBLIC_EXPONENT);
    if (modulus === undefined || seals === undefined || exponent === undefined) {
      throw unfit(
        `the RSA key with the id ${id.toString('hex')} has no public key beside it`,
        'put the public key on the token, with the same CKA_ID',
      );
    }
    const spki = createPublicKey({
      key: { kty: 'RSA', n: modulus.toString('base64url'), e: exponent.toString('base64url') },
      format: 'jwk',
    }).export({ type: 'spki', format: 'der' });
    return {
      seals,
      modulusBytes: modulus.length,
      fingerprint: `spki-${createHash('sha256').update(spki).digest('hex')}`,
    };
  }

  #notFound(which: string): Pkcs11TokenError {
    // A token that was taken out has no keys either.
    assertPresent(this.#session);
    const kind = this.#options.mechanism === 'AES-GCM' ? 'AES' : 'RSA';
    return new Pkcs11TokenError(
      'not-found',
      'Pkcs11KeyNotFound',
      `the token ${JSON.stringify(this.#session.tokenLabel)} has no ${kind} key with ${which}`,
      "check label and id; a deleted key comes back only from the HSM's backup: a new one of that name opens nothing",
    );
  }
}

/** The highest CKA_ID first, as a number. */
function byIdDescending(a: FoundKey, b: FoundKey): number {
  const [one, other] = [BigInt(`0x${a.id}`), BigInt(`0x${b.id}`)];
  if (one !== other) return one < other ? 1 : -1;
  return b.id.length - a.id.length;
}

/** What PKCS#1 leaves of the modulus for the message: k − 2·hash − 2. For AES-GCM, what a KMS v2 ciphertext may hold. */
function longestPlaintext({ mechanism, modulusBytes = 0 }: FoundKey): number {
  return mechanism === 'AES-GCM' ? 1_024 - ivBytes - tagBytes : modulusBytes - 2 * hashBytes[mechanism] - 2;
}

function fitsLength({ mechanism, modulusBytes }: FoundKey, { length }: Buffer): boolean {
  return mechanism === 'AES-GCM' ? length > ivBytes + tagBytes && length <= 1_024 : length === modulusBytes;
}

function wrongKey(keyId: string, why: string): Pkcs11TokenError {
  return new Pkcs11TokenError(
    'wrong-key',
    'WrongKeyId',
    `the key id ${JSON.stringify(keyId.slice(0, 200))} can't be used here: ${why}`,
    'check that the EncryptionConfiguration names the plugin of the key service that sealed this; a key that was replaced comes back only from a backup of the HSM',
  );
}

function ciphertextInvalid(why: string): Pkcs11TokenError {
  return new Pkcs11TokenError(
    'invalid',
    'CiphertextInvalid',
    `this is no ciphertext of the key: ${why}`,
    'the value was damaged, or another key service encrypted it',
  );
}

function unfit(message: string, remedy = 'use another key, or another mechanism'): Pkcs11TokenError {
  return new Pkcs11TokenError('denied', 'Pkcs11KeyUnfit', message, remedy);
}
