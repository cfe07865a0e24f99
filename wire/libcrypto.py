"""Ed25519 by the libcrypto that Python's own TLS has loaded already. It makes no keys (see `wire.keys`).

`cryptography` brings an OpenSSL of its own, which took 9 of the 41 MiB of an agent with TLS. An agent signs batches, and verifies commands and factor packs.
"""

import ctypes
import weakref
from functools import lru_cache
from typing import Any, Final

_SHARED_LIBRARY: Final = "libcrypto.so.3"  # what Debian's, Raspberry Pi OS's and Alpine's Python link their ssl to
_ED25519: Final = 1087  # EVP_PKEY_ED25519: NID_ED25519 of openssl/obj_mac.h
_SEED_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
# RFC 8032, section 7.1, test 1: seed, public key, and the signature of nothing
_KNOWN_SEED: Final = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
_KNOWN_PUBLIC: Final = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
_KNOWN_SIGNATURE: Final = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
)
_POINTER, _SIZE, _INT, _BYTES = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_char_p
_SIGNATURES: Final[dict[str, tuple[Any, list[Any]]]] = {
    "EVP_PKEY_new_raw_private_key": (_POINTER, [_INT, _POINTER, _BYTES, _SIZE]),
    "EVP_PKEY_get_raw_public_key": (_INT, [_POINTER, _POINTER, ctypes.POINTER(_SIZE)]),
    "EVP_PKEY_new_raw_public_key": (_POINTER, [_INT, _POINTER, _BYTES, _SIZE]),
    "EVP_PKEY_free": (None, [_POINTER]),
    "EVP_MD_CTX_new": (_POINTER, []),
    "EVP_MD_CTX_free": (None, [_POINTER]),
    "EVP_DigestSignInit": (_INT, [_POINTER, _POINTER, _POINTER, _POINTER, _POINTER]),
    "EVP_DigestSign": (_INT, [_POINTER, _POINTER, ctypes.POINTER(_SIZE), _BYTES, _SIZE]),
    "EVP_DigestVerifyInit": (_INT, [_POINTER, _POINTER, _POINTER, _POINTER, _POINTER]),
    "EVP_DigestVerify": (_INT, [_POINTER, _BYTES, _SIZE, _BYTES, _SIZE]),
}


class NoLibcrypto(Exception):
    """There is none, or not one that signs as the standard says; another signer has to do."""


class Ed25519Signer:
    """One private key, from its 32 bytes. Raises NoLibcrypto."""

    def __init__(self, seed: bytes) -> None:
        self._library = _library()
        self._key = self._library.EVP_PKEY_new_raw_private_key(_ED25519, None, seed, len(seed))
        if not self._key:
            raise NoLibcrypto(f"{_SHARED_LIBRARY}: takes no Ed25519 key of {len(seed)} bytes")
        weakref.finalize(self, self._library.EVP_PKEY_free, self._key)

    def public_bytes(self) -> bytes:
        """The 32 bytes of the public key."""
        raw, size = ctypes.create_string_buffer(_SEED_BYTES), _SIZE(_SEED_BYTES)
        if self._library.EVP_PKEY_get_raw_public_key(self._key, raw, size) != 1 or size.value != _SEED_BYTES:
            raise NoLibcrypto(f"{_SHARED_LIBRARY}: tells no public key")
        return raw.raw

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of `message`."""
        library = self._library
        signature, size = ctypes.create_string_buffer(_SIGNATURE_BYTES), _SIZE(_SIGNATURE_BYTES)
        context = library.EVP_MD_CTX_new()
        try:
            signed = (
                context
                and library.EVP_DigestSignInit(context, None, None, None, self._key) == 1
                and library.EVP_DigestSign(context, signature, size, message, len(message)) == 1
            )
        finally:
            library.EVP_MD_CTX_free(context)
        if not signed or size.value != _SIGNATURE_BYTES:
            raise NoLibcrypto(f"{_SHARED_LIBRARY}: does not sign")
        return signature.raw


class Ed25519Verifier:
    """One public key, from its 32 bytes. Raises NoLibcrypto."""

    def __init__(self, public: bytes) -> None:
        self._library = _library()
        self._key = self._library.EVP_PKEY_new_raw_public_key(_ED25519, None, public, len(public))
        if not self._key:
            raise NoLibcrypto(f"{_SHARED_LIBRARY}: takes no Ed25519 public key of {len(public)} bytes")
        weakref.finalize(self, self._library.EVP_PKEY_free, self._key)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` is this key's over `message`. Raises NoLibcrypto where the library cannot say."""
        library = self._library
        context = library.EVP_MD_CTX_new()
        try:
            if not context or library.EVP_DigestVerifyInit(context, None, None, None, self._key) != 1:
                raise NoLibcrypto(f"{_SHARED_LIBRARY}: does not verify")
            return bool(library.EVP_DigestVerify(context, signature, len(signature), message, len(message)) == 1)
        finally:
            library.EVP_MD_CTX_free(context)


@lru_cache(maxsize=1)
def _library() -> Any:
    try:
        library = ctypes.CDLL(_SHARED_LIBRARY)
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise NoLibcrypto(f"{_SHARED_LIBRARY}: {error}") from error
    return library


@lru_cache(maxsize=1)
def signs_as_the_standard_says() -> bool:
    """Whether there is a libcrypto and it makes the first signature of RFC 8032. Nothing else is signed with it before."""
    try:
        signer = Ed25519Signer(_KNOWN_SEED)
        return signer.public_bytes() == _KNOWN_PUBLIC and signer.sign(b"") == _KNOWN_SIGNATURE
    except NoLibcrypto:
        return False


@lru_cache(maxsize=1)
def verifies_as_the_standard_says() -> bool:
    """Whether there is a libcrypto that finds the first signature of RFC 8032 good, and each one that differs in a bit bad. None other is asked."""
    try:
        verifier = Ed25519Verifier(_KNOWN_PUBLIC)
        spoilt = (
            bytes([*_KNOWN_SIGNATURE[:at], _KNOWN_SIGNATURE[at] ^ 1, *_KNOWN_SIGNATURE[at + 1 :]]) for at in range(64)
        )
        return (
            verifier.verifies(_KNOWN_SIGNATURE, b"")
            and not verifier.verifies(_KNOWN_SIGNATURE, b"\x00")
            and not any(verifier.verifies(signature, b"") for signature in spoilt)
        )
    except NoLibcrypto:
        return False
