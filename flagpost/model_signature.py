"""The signature of a model: who made it, where the hash only says that it is whole.

It is an HMAC-SHA256 (RFC 2104) of the manifest, which names the hash of the model file, by a key
that the makers of models and the workers share.
"""

import hashlib
import hmac
from pathlib import Path

import msgspec
from pydantic import SecretStr

from flagpost.errors import BadConfiguration, ModelRefused
from flagpost.model_manifest import Manifest

SHORTEST_KEY = 32


class ModelKey:
    """Signs manifests, and tells whether a signature is its own."""

    def __init__(self, key: SecretStr) -> None:
        """Take the key.

        Raises:
            BadConfiguration: it is too short to withstand guessing.
        """
        secret = key.get_secret_value()
        if len(secret) < SHORTEST_KEY:
            raise BadConfiguration(
                f"FLAGPOST_MODEL_KEY needs at least {SHORTEST_KEY} characters; "
                "make one with: openssl rand -hex 32"
            )
        self._key = secret.encode()

    def sign(self, manifest: Manifest) -> Manifest:
        """Return the manifest with a signature."""
        return msgspec.structs.replace(manifest, signature=self._signature(manifest))

    def check(self, manifest: Manifest, path: Path) -> None:
        """Return if the manifest bears this key's signature.

        Raises:
            ModelRefused: it bears none, or another.
        """
        if manifest.signature is msgspec.UNSET:
            raise ModelRefused(
                f"{path} is not signed, and FLAGPOST_MODEL_KEY is set: sign it where you trust it, "
                f"with python fraud_model.py sign {path.name}"
            )
        if not hmac.compare_digest(manifest.signature.encode(), self._signature(manifest).encode()):
            raise ModelRefused(
                f"{path}: the signature is not by FLAGPOST_MODEL_KEY, or the manifest was altered"
            )

    def _signature(self, manifest: Manifest) -> str:
        unsigned = msgspec.structs.replace(manifest, signature=msgspec.UNSET)
        # As it is read back: a whole number may have become one with a point.
        as_read = msgspec.json.decode(msgspec.json.encode(unsigned), type=Manifest)
        return hmac.new(self._key, msgspec.json.encode(as_read), hashlib.sha256).hexdigest()


def model_key(setting: SecretStr) -> ModelKey | None:
    """Return the key of FLAGPOST_MODEL_KEY; None where signatures are not asked for."""
    return ModelKey(setting) if setting.get_secret_value() else None
