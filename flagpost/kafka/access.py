"""Where the brokers are, and how a client proves who it is and checks who they are."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flagpost.settings import KafkaProtocol, SaslMechanism


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """All that it takes to connect; the settings have been checked (`kafka_access`).

    Without a `ca_file` the certificate authorities of the system are trusted. The password is left
    out of the representation.
    """

    bootstrap: str
    protocol: KafkaProtocol = "PLAINTEXT"
    mechanism: SaslMechanism | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    @property
    def is_encrypted(self) -> bool:
        """Whether connections use TLS."""
        return self.protocol in ("SSL", "SASL_SSL")

    @property
    def hosts(self) -> list[tuple[str, int]]:
        """The bootstrap servers as (host, port)."""
        pairs = (server.strip().rpartition(":") for server in self.bootstrap.split(","))
        return [(host.strip("[]"), int(port)) for host, _, port in pairs if port.isdigit()]

    def for_librdkafka(self) -> dict[str, Any]:
        """The connection in the words of librdkafka, which confluent-kafka wraps."""
        return _given(
            {
                "bootstrap.servers": self.bootstrap,
                "security.protocol": self.protocol,
                "sasl.mechanisms": self.mechanism,
                "sasl.username": self.username,
                "sasl.password": self.password,
                "ssl.ca.location": self.ca_file,
                "ssl.certificate.location": self.certificate_file,
                "ssl.key.location": self.key_file,
            }
        )

    def for_kafka_python(self) -> dict[str, Any]:
        """The connection in the words of kafka-python."""
        return _given(
            {
                "bootstrap_servers": self.bootstrap,
                "security_protocol": self.protocol,
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
                "ssl_cafile": self.ca_file,
                "ssl_certfile": self.certificate_file,
                "ssl_keyfile": self.key_file,
            }
        )


def _given(options: dict[str, str | Path | None]) -> dict[str, Any]:
    return {name: str(value) for name, value in options.items() if value is not None}
