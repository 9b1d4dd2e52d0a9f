"""The access to Kafka that the settings describe, refused where they contradict each other."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from flagpost.errors import BadConfiguration
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.certificates import tls_context
from flagpost.settings import Settings

_OF_SASL = ("kafka_sasl_mechanism", "kafka_username", "kafka_password", "kafka_password_file")
_OF_TLS = ("kafka_ca_file", "kafka_certificate_file", "kafka_key_file")


def kafka_access(settings: Settings) -> KafkaAccess:
    """Check the settings, and read the files that they name; nothing connects.

    Raises:
        BadConfiguration: no brokers are set, settings contradict each other, or a file is not what
            it should be. The message names the variable.
    """
    for problem in _problems(settings):
        raise BadConfiguration(problem)
    access = KafkaAccess(
        settings.kafka_bootstrap,
        settings.kafka_security_protocol,
        settings.kafka_sasl_mechanism,
        settings.kafka_username or None,
        _password(settings.kafka_password, settings.kafka_password_file),
        settings.kafka_ca_file,
        settings.kafka_certificate_file,
        settings.kafka_key_file,
    )
    if access.is_encrypted:
        tls_context(access)
    return access


def _problems(settings: Settings) -> Iterator[str]:
    """Say what cannot be, the first thing first."""
    protocol = settings.kafka_security_protocol
    if not settings.kafka_bootstrap:
        yield "FLAGPOST_KAFKA_BOOTSTRAP is not set: run `flagpost up`, or set it to host:port"
    for server in settings.kafka_bootstrap.split(","):
        if not _is_address(server.strip()):
            yield f"FLAGPOST_KAFKA_BOOTSTRAP: {server.strip()!r} is not host:port"
    given = {name for name in (*_OF_SASL, *_OF_TLS) if _is_given(getattr(settings, name))}
    if protocol.startswith("SASL_"):
        yield from _sasl_problems(given, protocol)
    else:
        yield from _useless(given & {*_OF_SASL}, protocol, "SASL_SSL")
    if protocol.endswith("SSL"):
        if len(given & {"kafka_certificate_file", "kafka_key_file"}) == 1:
            yield "FLAGPOST_KAFKA_CERTIFICATE_FILE and FLAGPOST_KAFKA_KEY_FILE need each other"
    else:
        yield from _useless(given & {*_OF_TLS}, protocol, "SSL or SASL_SSL")


def _is_address(server: str) -> bool:
    try:
        parts = urlsplit(f"//{server}")
        host, port = parts.hostname or "", parts.port
        host.encode("idna")  # what the socket library will do
    except ValueError:
        return False
    return bool(host) and port != 0


def _sasl_problems(given: set[str], protocol: str) -> Iterator[str]:
    for needed in ("kafka_sasl_mechanism", "kafka_username"):
        if needed not in given:
            yield f"{_variable(needed)} is not set; {protocol} needs it"
    if len(given & {"kafka_password", "kafka_password_file"}) != 1:
        yield (
            "exactly one of FLAGPOST_KAFKA_PASSWORD and FLAGPOST_KAFKA_PASSWORD_FILE must be set; "
            f"{protocol} needs it"
        )


def _useless(given: set[str], protocol: str, fitting: str) -> Iterator[str]:
    """A setting without effect is a mistake: somebody believes to be safer than they are."""
    for name in sorted(given):
        yield (
            f"{_variable(name)} has no effect with FLAGPOST_KAFKA_SECURITY_PROTOCOL={protocol}: "
            f"set that to {fitting}"
        )


def _is_given(value: object) -> bool:
    return bool(value.get_secret_value() if isinstance(value, SecretStr) else value)


def _variable(name: str) -> str:
    return f"FLAGPOST_{name.upper()}"


def _password(password: SecretStr, file: Path | None) -> str | None:
    if file is None:
        return password.get_secret_value() or None
    try:
        found = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise BadConfiguration(
            f"FLAGPOST_KAFKA_PASSWORD_FILE: {file} cannot be read: {reason}"
        ) from None  # the cause may quote the password
    if not found:
        raise BadConfiguration(f"FLAGPOST_KAFKA_PASSWORD_FILE: {file} is empty")
    return found
