"""Both clients against brokers that ask for proof, and show what is not to be trusted."""

import struct
from collections.abc import Callable
from contextlib import closing

import pytest

from flagpost.errors import BadConfiguration, Unavailable
from flagpost.events import Partition
from flagpost.kafka import group
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.access_check import check_access
from flagpost.kafka.access_settings import kafka_access
from flagpost.kafka.certificates import _GREETING, check_certificates
from flagpost.kafka.factory import open_publisher, open_source
from flagpost.kafka.pairing import GroupTopics
from flagpost.kafka.topics import ensure_topics
from flagpost.settings import KafkaClient, Settings, load_settings
from tests.security.certificates import Authority, Certificate
from tests.security.conftest import PASSWORD
from tests.security.kafka import SecureKafka

Open = Callable[[Settings], None]
WRONG = "wrong-horse-battery"


def write(settings: Settings) -> None:
    """Send a message as the producer does."""
    publisher = open_publisher(kafka_access(settings), settings.kafka_client)
    publisher.publish("transactions", [None], [b"{}"])
    assert publisher.finish().failed == 0


def read(settings: Settings) -> None:
    """Open as the worker does, join the group, and leave it."""
    with closing(open_source(settings, GroupTopics("transactions"))) as source:
        assigned: frozenset[Partition] = frozenset()
        while not assigned:
            assigned = source.poll(1, 1).assigned
        source.bounds(assigned)  # kafka-python leaves a socket behind that is still connecting


@pytest.fixture(params=["confluent", "kafka-python"])
def client(request: pytest.FixtureRequest) -> KafkaClient:
    chosen: KafkaClient = request.param
    return chosen


@pytest.fixture(params=[read, write], ids=["read", "write"])
def opened(request: pytest.FixtureRequest) -> Open:
    chosen: Open = request.param
    return chosen


@pytest.fixture(scope="module")
def member(ca: Authority) -> Certificate:
    return ca.sign("member")


@pytest.fixture(scope="module", autouse=True)
def topic(kafka: SecureKafka) -> None:
    ensure_topics(KafkaAccess(kafka.bootstrap("INTERNAL")), {"transactions": 1})


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("listener", ["SECURE", "UNENCRYPTED"])
def test_a_password_opens(
    kafka: SecureKafka, client: KafkaClient, opened: Open, listener: str, mechanism: str
) -> None:
    told = kafka.settings(listener, kafka_client=client, kafka_sasl_mechanism=mechanism)

    opened(load_settings(**told))


def test_a_certificate_opens(
    kafka: SecureKafka, client: KafkaClient, opened: Open, member: Certificate
) -> None:
    told = kafka.settings("MUTUAL", kafka_client=client)

    opened(
        load_settings(**told, kafka_certificate_file=member.certificate, kafka_key_file=member.key)
    )


REFUSED: dict[str, tuple[str, dict[str, object], str]] = {
    "wrong password": ("SECURE", {"kafka_password": WRONG}, "FLAGPOST_KAFKA_PASSWORD.*credentials"),
    "wrong password, PLAIN": (
        "SECURE",
        {"kafka_password": WRONG, "kafka_sasl_mechanism": "PLAIN"},
        "FLAGPOST_KAFKA_PASSWORD.*Invalid username or password",
    ),
    "wrong password, unencrypted": (
        "UNENCRYPTED",
        {"kafka_password": WRONG},
        "FLAGPOST_KAFKA_PASSWORD.*credentials",
    ),
    "unknown user": ("SECURE", {"kafka_username": "nobody"}, "FLAGPOST_KAFKA_USERNAME.*credential"),
    "expired certificate": ("EXPIRED", {}, "certificate has expired; check FLAGPOST_KAFKA_CA_FILE"),
    "certificate of another host": ("ELSEWHERE", {}, "not valid for '127.0.0.1'"),
    "no certificate of our own": ("MUTUAL", {}, "certificate required; check FLAGPOST_KAFKA_CERT"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_ends_at_once_with_its_own_line(
    kafka: SecureKafka, client: KafkaClient, opened: Open, case: str
) -> None:
    listener, changed, named = REFUSED[case]

    with pytest.raises(BadConfiguration, match=named) as refused:
        opened(load_settings(**kafka.settings(listener, kafka_client=client, **changed)))

    assert "\n" not in str(refused.value)
    assert WRONG not in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_an_authority_that_did_not_sign_is_named(
    kafka: SecureKafka, client: KafkaClient, opened: Open, foreign_ca: Authority
) -> None:
    told = kafka.settings(kafka_client=client, kafka_ca_file=foreign_ca.ca_file)

    with pytest.raises(BadConfiguration, match=r"local issuer.*FLAGPOST_KAFKA_CA_FILE"):
        opened(load_settings(**told))


def test_a_certificate_that_the_broker_does_not_know_is_named(
    kafka: SecureKafka, client: KafkaClient, opened: Open, foreign_ca: Authority
) -> None:
    foreign = foreign_ca.sign("member")
    told = kafka.settings("MUTUAL", kafka_client=client)

    with pytest.raises(BadConfiguration, match=r"alert.*FLAGPOST_KAFKA_CERTIFICATE_FILE"):
        opened(
            load_settings(
                **told, kafka_certificate_file=foreign.certificate, kafka_key_file=foreign.key
            )
        )


def test_a_broker_without_tls_names_the_protocol(
    kafka: SecureKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "REQUEST_SECONDS", 1)
    told = kafka.settings(kafka_bootstrap=kafka.bootstrap("UNENCRYPTED"))

    with pytest.raises(Unavailable, match="FLAGPOST_KAFKA_SECURITY_PROTOCOL"):
        check_access(kafka_access(load_settings(**told)))


def test_a_broker_that_is_away_is_no_matter_of_certificates(ca: Authority) -> None:
    away = KafkaAccess("127.0.0.1:1", "SSL", ca_file=ca.ca_file)

    check_certificates(away)


def test_the_greeting_is_a_whole_request() -> None:
    assert struct.unpack(">i", _GREETING[:4]) == (len(_GREETING) - 4,)
