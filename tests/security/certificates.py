"""A certificate authority of the tests, and what it has signed."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from flagpost.local.ports import LOOPBACK


@dataclass(frozen=True)
class Certificate:
    """A certificate, its key, and both in one file as Kafka wants them."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates and writes them into a directory as PEM files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ca = trustme.CA()
        self.ca_file = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    def sign(self, name: str, host: str = LOOPBACK) -> Certificate:
        return self._write(name, self._ca.issue_cert(host))

    def sign_expired(self, name: str) -> Certificate:
        yesterday = datetime.now(UTC) - timedelta(days=1)
        return self._write(name, self._ca.issue_cert(LOOPBACK, not_after=yesterday))

    def _write(self, name: str, signed: trustme.LeafCert) -> Certificate:
        # Java reads keys in this form alone.
        key = load_pem_private_key(signed.private_key_pem.bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        chain = b"".join(blob.bytes() for blob in signed.cert_chain_pems)
        parts = {"crt": chain, "key": key, "pem": key + chain}
        files = {kind: self._directory / f"{name}.{kind}" for kind in parts}
        for kind, content in parts.items():
            files[kind].write_bytes(content)
        return Certificate(files["crt"], files["key"], files["pem"])


def authority(directory: Path) -> Authority:
    """Make an authority with a directory of its own."""
    directory.mkdir(parents=True)
    return Authority(directory)
