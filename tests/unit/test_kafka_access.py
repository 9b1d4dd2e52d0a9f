"""Which settings make an access to Kafka, and which are refused by name."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as keys

from flagpost.errors import BadConfiguration
from flagpost.kafka.access_settings import kafka_access
from flagpost.settings import load_settings
from tests.security.certificates import authority

PASSWORD = "correct-horse"  # noqa: S105 - of nobody
BROKERS = {"kafka_bootstrap": "broker:9093"}
SASL: dict[str, object] = {
    **BROKERS,
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_mechanism": "SCRAM-SHA-512",
    "kafka_username": "scorer",
    "kafka_password": PASSWORD,
}
IMPOSSIBLE: dict[str, tuple[dict[str, object], str]] = {
    "no brokers": ({"kafka_bootstrap": ""}, "FLAGPOST_KAFKA_BOOTSTRAP is not set"),
    "no mechanism": ({**SASL, "kafka_sasl_mechanism": None}, "FLAGPOST_KAFKA_SASL_MECHANISM"),
    "no user": ({**SASL, "kafka_username": ""}, "FLAGPOST_KAFKA_USERNAME is not set"),
    "no password": ({**SASL, "kafka_password": ""}, "one of FLAGPOST_KAFKA_PASSWORD and"),
    "two passwords": ({**SASL, "kafka_password_file": "f"}, "one of FLAGPOST_KAFKA_PASSWORD and"),
    "a password for nobody": (
        {**BROKERS, "kafka_password": PASSWORD},
        "FLAGPOST_KAFKA_PASSWORD has no effect with FLAGPOST_KAFKA_SECURITY_PROTOCOL=PLAINTEXT",
    ),
    "an authority that is not asked": (
        {**SASL, "kafka_security_protocol": "SASL_PLAINTEXT", "kafka_ca_file": "ca.pem"},
        "FLAGPOST_KAFKA_CA_FILE has no effect",
    ),
    "a certificate without its key": (
        {**SASL, "kafka_certificate_file": "me.crt"},
        "FLAGPOST_KAFKA_CERTIFICATE_FILE and FLAGPOST_KAFKA_KEY_FILE need each other",
    ),
    "no such authority": (
        {**SASL, "kafka_ca_file": "none.pem"},
        "FLAGPOST_KAFKA_CA_FILE: none.pem cannot be read: No such file or directory",
    ),
    "no such password file": (
        {**SASL, "kafka_password": "", "kafka_password_file": "none"},
        "FLAGPOST_KAFKA_PASSWORD_FILE: none cannot be read",
    ),
}


@pytest.mark.parametrize(
    "server", ["host:²", "a..b:9093", "[::1:9", "host:99999", "host:0", ":9093", "one:1,,two:2"]
)
def test_a_server_that_is_no_address_is_named(server: str) -> None:
    with pytest.raises(BadConfiguration, match=r"FLAGPOST_KAFKA_BOOTSTRAP: .* is not host:port"):
        kafka_access(load_settings(kafka_bootstrap=server))


@pytest.mark.parametrize(
    "servers", ["localhost:9092", "one:1, two:2", "[::1]:9093", "10.0.0.1", "my_broker-1.lan.:9092"]
)
def test_addresses_of_brokers_are_taken_as_they_are(servers: str) -> None:
    assert kafka_access(load_settings(kafka_bootstrap=servers)).bootstrap == servers


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_settings_that_contradict_each_other_are_named(case: str) -> None:
    chosen, named = IMPOSSIBLE[case]

    with pytest.raises(BadConfiguration, match=named) as refused:
        kafka_access(load_settings(**chosen))

    assert "\n" not in str(refused.value)
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize("variable", ["kafka_security_protocol", "kafka_sasl_mechanism"])
def test_an_unknown_choice_is_named(variable: str) -> None:
    with pytest.raises(BadConfiguration, match=f"FLAGPOST_{variable.upper()}: Input should be"):
        load_settings(**{variable: "GSSAPI"})


def test_both_clients_are_told_the_same(tmp_path: Path) -> None:
    ca = authority(tmp_path / "ca")
    member = ca.sign("member")
    access = kafka_access(
        load_settings(
            **SASL,
            kafka_ca_file=ca.ca_file,
            kafka_certificate_file=member.certificate,
            kafka_key_file=member.key,
        )
    )

    assert list(access.for_librdkafka().values()) == list(access.for_kafka_python().values())
    assert access.for_librdkafka()["sasl.password"] == PASSWORD


def test_a_password_file_may_end_with_a_line_break(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")

    access = kafka_access(
        load_settings(**{**SASL, "kafka_password": "", "kafka_password_file": file})
    )

    assert access.password == PASSWORD


def test_an_encrypted_key_is_refused_instead_of_asking_for_its_passphrase(tmp_path: Path) -> None:
    ca = authority(tmp_path / "ca")
    member = ca.sign("member")
    key = keys.load_pem_private_key(member.key.read_bytes(), None)
    member.key.write_bytes(
        key.private_bytes(
            keys.Encoding.PEM, keys.PrivateFormat.PKCS8, keys.BestAvailableEncryption(b"secret")
        )
    )

    with pytest.raises(BadConfiguration, match="FLAGPOST_KAFKA_KEY_FILE is encrypted"):
        kafka_access(
            load_settings(
                **SASL, kafka_certificate_file=member.certificate, kafka_key_file=member.key
            )
        )


def test_no_representation_shows_a_password() -> None:
    settings = load_settings(**SASL, database_url=f"postgresql://me:{PASSWORD}@host/db")

    for shown in (settings, kafka_access(settings), settings.model_dump()):
        assert PASSWORD not in f"{shown!r} {shown}"
