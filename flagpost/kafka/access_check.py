"""Finds out at the start what a client would only try again and again."""

import time
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from flagpost.kafka import group
from flagpost.kafka.access import KafkaAccess
from flagpost.kafka.certificates import check_certificates
from flagpost.kafka.confluent_errors import is_final, translated

_LOOK_AGAIN_SECONDS = 0.2
_DOING = (
    "the connection; check FLAGPOST_KAFKA_SECURITY_PROTOCOL, FLAGPOST_KAFKA_USERNAME and "
    "FLAGPOST_KAFKA_PASSWORD"
)


def check_access(access: KafkaAccess) -> None:
    """Connect once, whichever client comes after; does nothing where nobody has to prove anything.

    Blocks for some milliseconds. librdkafka reports a refusal as soon as it hears of it, but only
    to a callback: the caller waits for the end of its patience.

    Raises:
        BadConfiguration: the brokers refuse the credentials, or their certificate is not trusted.
        Unavailable: no broker answers within ten seconds.
    """
    if access.protocol == "PLAINTEXT":
        return
    if access.is_encrypted:
        check_certificates(access)
    heard: list[KafkaError] = []
    told: dict[str, Any] = {"log_level": 0, "error_cb": heard.append}
    admin = AdminClient({**access.for_librdkafka(), **told})
    deadline = time.monotonic() + group.REQUEST_SECONDS
    while True:
        try:
            admin.list_topics(timeout=_LOOK_AGAIN_SECONDS)
        except KafkaException as error:
            admin.poll(0)
            for refusal in filter(is_final, heard):
                raise translated(refusal, _DOING) from error
            if time.monotonic() > deadline:
                telling = [each for each in heard if each.name() != "_ALL_BROKERS_DOWN"]
                raise translated([error.args[0], *telling][-1], _DOING) from error
        else:
            return
