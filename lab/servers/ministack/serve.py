"""The AWS emulator of a lab: ministack, with a KMS that keeps what the contract of a key service rests on.

ministack encrypts by XOR and authenticates nothing: a changed ciphertext, or one of another key, would open as some other
plaintext. AWS KMS seals with AES-256-GCM and refuses both. So each ciphertext gets a tag here that is checked before it
is opened. And ministack has no RotateKeyOnDemand: here it has, keeping former material to decrypt with, as AWS does.

One request is the lab's own: ExpireSessions, after which the credentials of all assumed roles have run out.
"""

import base64
import hashlib
import hmac
import json
import os

from ministack import app
from ministack.core.responses import error_response_json, json_response
from ministack.services import kms, sts

TAG_BYTES = 16
KEY_ID_CHARACTERS = 36

original_encrypt = kms._encrypt
original_decrypt = kms._decrypt
original_handle_request = kms.handle_request


def tag(material, sealed):
    return hmac.new(material, b"tag" + sealed, hashlib.sha256).digest()[:TAG_BYTES]


def encrypt(data):
    status, headers, body = original_encrypt(data)
    rec = kms._resolve_key(data.get("KeyId", ""))
    if status != 200 or "_symmetric_key" not in rec:
        return status, headers, body
    answer = json.loads(body)
    sealed = base64.b64decode(answer["CiphertextBlob"])
    answer["CiphertextBlob"] = base64.b64encode(sealed + tag(rec["_symmetric_key"], sealed)).decode()
    return json_response(answer)


def decrypt(data):
    rec = kms._resolve_key(data.get("KeyId", ""))
    if rec is None or "_symmetric_key" not in rec:
        return original_decrypt(data)
    refused = kms._check_key_state(rec)
    if refused:
        return refused
    blob = base64.b64decode(data.get("CiphertextBlob", ""))
    sealed, found = blob[:-TAG_BYTES], blob[-TAG_BYTES:]
    current = rec["_symmetric_key"]
    for material in (current, *rec.get("_former_material", [])):
        if hmac.compare_digest(found, tag(material, sealed)):
            rec["_symmetric_key"] = material
            try:
                return original_decrypt({**data, "CiphertextBlob": base64.b64encode(sealed).decode()})
            finally:
                rec["_symmetric_key"] = current
    other = kms._resolve_key(sealed[:KEY_ID_CHARACTERS].decode("utf-8", errors="ignore"))
    if other is not None and other["KeyId"] != rec["KeyId"]:
        return error_response_json(
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.",
            400,
        )
    return error_response_json("InvalidCiphertextException", "", 400)


def rotate_on_demand(data):
    rec = kms._resolve_key(data.get("KeyId", ""))
    if rec is None:
        return error_response_json("NotFoundException", f"Key {data.get('KeyId', '')} not found", 400)
    former = [rec["_symmetric_key"], *rec.get("_former_material", [])]
    fresh = os.urandom(32)
    related = [member for _region, member in kms._mrk_members(rec)] or [rec]
    for member in related:
        member["_former_material"] = former
        member["_symmetric_key"] = fresh
    return json_response({"KeyId": rec["Arn"]})


def expire_sessions(_data):
    for session in sts._sessions.values():
        session["Expiration"] = 1
    return json_response({})


ADDED = {"RotateKeyOnDemand": rotate_on_demand, "ExpireSessions": expire_sessions}


async def handle_request(method, path, headers, body, query_params):
    added = ADDED.get(headers.get("x-amz-target", "").split(".")[-1])
    if added is not None:
        return added(json.loads(body))
    return await original_handle_request(method, path, headers, body, query_params)


kms._encrypt = encrypt
kms._decrypt = decrypt
kms.handle_request = handle_request

if __name__ == "__main__":
    app.main()
