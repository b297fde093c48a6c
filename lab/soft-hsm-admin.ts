/* What a security officer does to a token, in a process of its own: see soft-hsm.ts. */
import { createRequire } from 'node:module';
import type * as Pkcs11js from 'pkcs11js';

/** Steps name a token by its label. `id` is a CKA_ID in hex. */
export type SoftHsmStep =
  | { readonly type: 'init-token'; readonly token: string; readonly soPin: string; readonly pin: string }
  | { readonly type: 'set-pin'; readonly token: string; readonly soPin: string; readonly pin: string }
  | (OfKey & { readonly type: 'make-aes'; readonly bytes?: Uint8Array })
  | (OfKey & { readonly type: 'make-rsa'; readonly bits: number })
  | (OfKey & { readonly type: 'destroy' })
  | (OfKey & { readonly type: 'permit'; readonly use: boolean })
  | (OfKey & { readonly type: 'set-label'; readonly to: string });

interface OfKey {
  readonly token: string;
  readonly pin: string;
  readonly label: string;
  readonly id: string;
}

export interface SoftHsmAnswer {
  readonly error?: string;
}

process.once('message', ({ module, steps }: { module: string; steps: readonly SoftHsmStep[] }) => {
  let answer: SoftHsmAnswer = {};
  try {
    carryOut(module, steps);
  } catch (error) {
    answer = { error: error instanceof Error ? error.message : String(error) };
  }
  process.send?.(answer, () => process.disconnect());
});

function carryOut(path: string, steps: readonly SoftHsmStep[]): void {
  const api = createRequire(import.meta.url)('pkcs11js') as typeof Pkcs11js;
  const module = new api.PKCS11();
  module.load(path);
  module.C_Initialize({ flags: api.CKF_OS_LOCKING_OK });
  for (const step of steps) {
    if (step.type === 'init-token') initToken(api, module, step);
    else if (step.type === 'set-pin') {
      inSession(api, module, step.token, api.CKU_SO, step.soPin, (s) => module.C_InitPIN(s, step.pin));
    } else
      inSession(api, module, step.token, api.CKU_USER, step.pin, (s) => {
        changeKey(api, module, s, step);
      });
  }
  module.C_Finalize();
}

function initToken(
  api: typeof Pkcs11js,
  module: Pkcs11js.PKCS11,
  { token, soPin, pin }: Extract<SoftHsmStep, { type: 'init-token' }>,
): void {
  const present = findSlot(module, token);
  // SoftHSM's last slot is one without a token, always.
  const slot = present ?? module.C_GetSlotList(false).at(-1);
  if (slot === undefined) throw new Error('no slot');
  module.C_InitToken(slot, soPin, token.padEnd(32));
  inSession(api, module, token, api.CKU_SO, soPin, (session) => module.C_InitPIN(session, pin));
}

function changeKey(
  api: typeof Pkcs11js,
  module: Pkcs11js.PKCS11,
  session: Pkcs11js.Handle,
  step: Exclude<SoftHsmStep, { type: 'init-token' | 'set-pin' }>,
): void {
  const named = [
    { type: api.CKA_LABEL, value: step.label },
    { type: api.CKA_ID, value: Buffer.from(step.id, 'hex') },
  ];
  const held = [...named, { type: api.CKA_TOKEN, value: true }];
  const secret = [
    { type: api.CKA_PRIVATE, value: true },
    { type: api.CKA_SENSITIVE, value: true },
    { type: api.CKA_EXTRACTABLE, value: false },
  ];
  const [encrypts, decrypts] = [
    { type: api.CKA_ENCRYPT, value: true },
    { type: api.CKA_DECRYPT, value: true },
  ];
  switch (step.type) {
    case 'make-aes': {
      const template = [...held, ...secret, encrypts, decrypts];
      if (step.bytes === undefined) {
        const mechanism = { mechanism: api.CKM_AES_KEY_GEN };
        module.C_GenerateKey(session, mechanism, [...template, { type: api.CKA_VALUE_LEN, value: 32 }]);
      } else {
        module.C_CreateObject(session, [
          ...template,
          { type: api.CKA_CLASS, value: api.CKO_SECRET_KEY },
          { type: api.CKA_KEY_TYPE, value: api.CKK_AES },
          { type: api.CKA_VALUE, value: Buffer.from(step.bytes) },
        ]);
      }
      return;
    }
    case 'make-rsa':
      module.C_GenerateKeyPair(
        session,
        { mechanism: api.CKM_RSA_PKCS_KEY_PAIR_GEN },
        [
          ...held,
          encrypts,
          { type: api.CKA_MODULUS_BITS, value: step.bits },
          { type: api.CKA_PUBLIC_EXPONENT, value: Buffer.from([1, 0, 1]) },
        ],
        [...held, ...secret, decrypts],
      );
      return;
    case 'destroy':
      for (const key of find(module, session, named)) module.C_DestroyObject(session, key);
      return;
    case 'permit':
      for (const key of find(module, session, named)) {
        const of = classOf(api, module, session, key);
        const types = [
          ...(of === api.CKO_PRIVATE_KEY ? [] : [api.CKA_ENCRYPT]),
          ...(of === api.CKO_PUBLIC_KEY ? [] : [api.CKA_DECRYPT]),
        ];
        for (const type of types) module.C_SetAttributeValue(session, key, [{ type, value: step.use }]);
      }
      return;
    case 'set-label':
      for (const key of find(module, session, named)) {
        module.C_SetAttributeValue(session, key, [{ type: api.CKA_LABEL, value: step.to }]);
      }
  }
}

function classOf(
  api: typeof Pkcs11js,
  module: Pkcs11js.PKCS11,
  session: Pkcs11js.Handle,
  key: Pkcs11js.Handle,
): number | undefined {
  return module.C_GetAttributeValue(session, key, [{ type: api.CKA_CLASS }])[0]?.value.readUInt32LE(0);
}

function find(
  module: Pkcs11js.PKCS11,
  session: Pkcs11js.Handle,
  template: Pkcs11js.Template,
): Pkcs11js.Handle[] {
  module.C_FindObjectsInit(session, template);
  const found = module.C_FindObjects(session, 8);
  module.C_FindObjectsFinal(session);
  if (found.length === 0) throw new Error('there is no such key');
  return found;
}

function inSession(
  api: typeof Pkcs11js,
  module: Pkcs11js.PKCS11,
  token: string,
  user: number,
  pin: string,
  work: (session: Pkcs11js.Handle) => void,
): void {
  const slot = findSlot(module, token);
  if (slot === undefined) throw new Error(`there is no token ${token}`);
  const session = module.C_OpenSession(slot, api.CKF_SERIAL_SESSION | api.CKF_RW_SESSION);
  try {
    module.C_Login(session, user, pin);
    work(session);
    module.C_Logout(session);
  } finally {
    module.C_CloseSession(session);
  }
}

function findSlot(module: Pkcs11js.PKCS11, token: string): Pkcs11js.Handle | undefined {
  return module
    .C_GetSlotList(true)
    .find((slot) => module.C_GetTokenInfo(slot).label.replace(/[\0 ]+$/, '') === token);
}
