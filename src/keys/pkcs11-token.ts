import type * as Pkcs11js from 'pkcs11js';
import { explainPkcs11, Pkcs11TokenError } from './pkcs11-errors.ts';
import type { Pkcs11KeyOptions } from './pkcs11-messages.ts';

/** pkcs11js, as it was loaded: an optional dependency. */
export type Pkcs11Api = typeof Pkcs11js;

/** A logged-in session with one token. Every call of pkcs11js here is a synchronous one: see pkcs11-child.ts. */
export interface Pkcs11Session {
  readonly api: Pkcs11Api;
  readonly module: Pkcs11js.PKCS11;
  readonly slot: Pkcs11js.Handle;
  readonly handle: Pkcs11js.Handle;
  readonly tokenLabel: string;
  readonly tokenSerial: string;
}

/** Of CK_TOKEN_INFO; PKCS#11 2.40, section 3.2. */
const pinFinalTry = 0x20000;
const pinLocked = 0x40000;
/** CKS_RO_USER_FUNCTIONS and CKS_RW_USER_FUNCTIONS, which pkcs11js doesn't name. */
const userStates: ReadonlySet<number> = new Set([1, 3]);

/**
 * Loads the module, finds the token, and logs in. One C_Login at most, and none where a wrong PIN would lock the token.
 *
 * @throws Pkcs11TokenError
 */
export function openSession(
  api: Pkcs11Api,
  { module: path, token }: Pick<Pkcs11KeyOptions, 'module' | 'token'>,
  pin: string,
): Pkcs11Session {
  const module = new api.PKCS11();
  try {
    module.load(path);
  } catch {
    // What the loader says names paths of the machine, and nothing that a person can't find by the path alone.
    throw new Pkcs11TokenError(
      'unavailable',
      'UnavailablePkcs11Module',
      `the PKCS#11 module ${path} can't be loaded`,
      'check the path, that this user may read it, and with "ldd" that the libraries it needs are there',
    );
  }
  return attempt('be opened', () => {
    module.C_Initialize({ flags: api.CKF_OS_LOCKING_OK });
    const { slot, info } = findToken(module, token);
    const tokenLabel = text(info.label);
    if ((info.flags & pinLocked) !== 0) throw pinNeedsAHand('Pkcs11PinLocked', tokenLabel, 'is locked');
    if ((info.flags & pinFinalTry) !== 0) {
      throw pinNeedsAHand('Pkcs11PinFinalTry', tokenLabel, 'has one try left, which a plugin must not take');
    }
    const handle = module.C_OpenSession(slot, api.CKF_SERIAL_SESSION);
    module.C_Login(handle, api.CKU_USER, pin);
    return { api, module, slot, handle, tokenLabel, tokenSerial: text(info.serialNumber) };
  });
}

/** Logs out and lets the module go; never throws. */
export function closeSession({ module, handle }: Pkcs11Session): void {
  for (const step of [
    () => module.C_Logout(handle),
    () => module.C_CloseSession(handle),
    () => module.C_Finalize(),
  ]) {
    try {
      step();
    } catch {
      // The process ends, and the module with it.
    }
  }
}

/**
 * That no key was found means something only on the token that was logged in to, and by who still is: private objects
 * aren't shown to others.
 *
 * @throws Pkcs11TokenError when the token isn't in its slot any more, or has forgotten the login
 */
export function assertPresent({ module, slot, handle, tokenSerial, tokenLabel }: Pkcs11Session): void {
  let present = false;
  try {
    const { serialNumber } = module.C_GetTokenInfo(slot);
    present = text(serialNumber) === tokenSerial && userStates.has(module.C_GetSessionInfo(handle).state);
  } catch {
    // Some tokens answer CKR_TOKEN_NOT_PRESENT, some CKR_GENERAL_ERROR.
  }
  if (present) return;
  throw new Pkcs11TokenError(
    'unavailable',
    'UnavailablePkcs11Token',
    `the token ${JSON.stringify(tokenLabel)} is not in its slot any more, or has forgotten the login`,
    'put it back; keyferry logs in again by itself',
    true,
  );
}

/** Runs calls of pkcs11js; what they throw comes out explained. */
export function attempt<T>(doing: string, calls: () => T): T {
  try {
    return calls();
  } catch (error) {
    throw explainPkcs11(error, doing);
  }
}

/** How many objects that fit a template are looked at: versions of one key. */
const mostObjects = 256;

/** Handles of the objects that fit. */
export function findObjects(
  { module, handle }: Pkcs11Session,
  template: Pkcs11js.Template,
): Pkcs11js.Handle[] {
  return attempt('be searched for keys', () => {
    module.C_FindObjectsInit(handle, template);
    try {
      return module.C_FindObjects(handle, mostObjects);
    } finally {
      module.C_FindObjectsFinal(handle);
    }
  });
}

/** The bytes of an attribute; `undefined` where the token doesn't tell, or has none. */
export function attributeOf(
  { module, handle }: Pkcs11Session,
  object: Pkcs11js.Handle,
  type: number,
): Buffer | undefined {
  try {
    const value = module.C_GetAttributeValue(handle, object, [{ type }])[0]?.value;
    return value === undefined || value.length === 0 ? undefined : value;
  } catch (error) {
    const told = error instanceof Error ? error.message : '';
    if (told === 'CKR_ATTRIBUTE_TYPE_INVALID' || told === 'CKR_ATTRIBUTE_SENSITIVE') return undefined;
    throw explainPkcs11(error, 'tell about a key');
  }
}

function findToken(
  module: Pkcs11js.PKCS11,
  wanted: Pkcs11KeyOptions['token'],
): { slot: Pkcs11js.Handle; info: Pkcs11js.TokenInfo } {
  const seen: string[] = [];
  const fitting = module.C_GetSlotList(true).flatMap((slot) => {
    let info: Pkcs11js.TokenInfo;
    try {
      info = module.C_GetTokenInfo(slot);
    } catch {
      // Another slot's trouble.
      return [];
    }
    const [label, serial] = [text(info.label), text(info.serialNumber)];
    seen.push(JSON.stringify(label));
    const fits =
      (wanted.label === undefined || wanted.label === label) &&
      (wanted.serial === undefined || wanted.serial === serial);
    return fits ? [{ slot, info }] : [];
  });
  const [token, another] = fitting;
  const name = describe(wanted);
  if (token === undefined) {
    throw new Pkcs11TokenError(
      'unavailable',
      'UnavailablePkcs11Token',
      `there is no token with ${name} in any slot (${seen.length === 0 ? 'no token at all' : `seen: ${seen.join(', ')}`})`,
      "put the token in, or check label and serial and the configuration of the module's client",
    );
  }
  if (another !== undefined) {
    throw new Pkcs11TokenError(
      'denied',
      'Pkcs11TokenAmbiguous',
      `${fitting.length} tokens have ${name}`,
      'name the token by its serial as well',
    );
  }
  return token;
}

function pinNeedsAHand(code: string, token: string, how: string): Pkcs11TokenError {
  return new Pkcs11TokenError(
    'denied',
    code,
    `the user PIN of the token ${JSON.stringify(token)} ${how}: wrong PINs were tried`,
    'log in by hand with the right PIN, or have the security officer set a new one; put it at its reference',
  );
}

/** "label X and serial Y" of what was given. */
export function describe(selector: Readonly<Record<string, string | undefined>>): string {
  return Object.entries(selector)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `the ${name} ${JSON.stringify(value)}`)
    .join(' and ');
}

/** A blank-padded field of a CK_… structure; some pad with NUL. */
function text(field: string): string {
  return field.replace(/[\0 ]+$/, '');
}
