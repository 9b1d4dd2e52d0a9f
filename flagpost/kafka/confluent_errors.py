"""librdkafka's errors, translated once."""

from confluent_kafka import KafkaError

from flagpost.errors import (
    BadConfiguration,
    FlagpostError,
    MemberReplaced,
    MustStop,
    OffsetLost,
    TopicMissing,
    Unavailable,
)

# By name: the constants of librdkafka itself begin with an underscore.
_REFUSED = frozenset(
    {
        "_AUTHENTICATION",
        "_INVALID_ARG",
        "_SSL",
        "_UNSUPPORTED_FEATURE",
        "CLUSTER_AUTHORIZATION_FAILED",
        "GROUP_AUTHORIZATION_FAILED",
        "GROUP_MAX_SIZE_REACHED",
        "INCONSISTENT_GROUP_PROTOCOL",
        "INVALID_CONFIG",
        "INVALID_GROUP_ID",
        "INVALID_PARTITIONS",
        "INVALID_REPLICATION_FACTOR",
        "INVALID_SESSION_TIMEOUT",
        "POLICY_VIOLATION",
        "SASL_AUTHENTICATION_FAILED",
        "TOPIC_AUTHORIZATION_FAILED",
        "TOPIC_EXCEPTION",
        "UNSUPPORTED_SASL_MECHANISM",
    }
)

_DAMAGED = frozenset({"_BAD_COMPRESSION", "_BAD_MSG", "INVALID_MSG"})

_OFFSET_LOST = frozenset(
    {
        "_AUTO_OFFSET_RESET",
        "_LOG_TRUNCATION",
        "OFFSET_OUT_OF_RANGE",
    }
)

_TOPIC_MISSING = frozenset(
    {
        "_UNKNOWN_TOPIC",
        "_UNKNOWN_PARTITION",
        "UNKNOWN_TOPIC_OR_PART",
    }
)


_PASSING = frozenset(
    {
        "_ALL_BROKERS_DOWN",
        "_MSG_TIMED_OUT",
        "_NOENT",  # no leader of a partition is known, soon after a start of the broker
        "_PURGE_INFLIGHT",
        "_PURGE_QUEUE",
        "_RESOLVE",
        "_TIMED_OUT",
        "_TIMED_OUT_QUEUE",
        "_TRANSPORT",
        "_WAIT_COORD",
        "BROKER_NOT_AVAILABLE",
        "COORDINATOR_LOAD_IN_PROGRESS",
        "COORDINATOR_NOT_AVAILABLE",
        "KAFKA_STORAGE_ERROR",
        "LEADER_NOT_AVAILABLE",
        "NETWORK_EXCEPTION",
        "NOT_CONTROLLER",
        "NOT_COORDINATOR",
        "NOT_ENOUGH_REPLICAS",
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        "NOT_LEADER_FOR_PARTITION",
        "REPLICA_NOT_AVAILABLE",
        "REQUEST_TIMED_OUT",
        "THROTTLING_QUOTA_EXCEEDED",
    }
)


_SHARING = frozenset({"ILLEGAL_GENERATION", "REBALANCE_IN_PROGRESS"})


def is_refused_for_now(error: KafkaError) -> bool:
    """Whether the same commit may succeed later: a broker is away, or the group changes hands."""
    return not error.fatal() and error.name() in _PASSING | _SHARING


def is_final(error: KafkaError) -> bool:
    """Whether waiting does not help a consumer; after any other error it goes on by itself."""
    name = error.name()
    is_fatal = error.fatal() or name == "_FATAL"
    return is_fatal or name in _REFUSED or name in _DAMAGED or name in _OFFSET_LOST


def translated(error: KafkaError, doing: str) -> FlagpostError:
    """What the caller has to do about `error`, which came up while `doing` something."""
    name = error.name()
    if name in _PASSING and not error.fatal():
        return Unavailable(f"Kafka does not answer ({doing}): {_said(error)}")
    if _is_replaced(error):
        return MemberReplaced()
    if name in _REFUSED:
        return BadConfiguration(f"Kafka refuses {doing}: {_said(error)}")
    if name in _OFFSET_LOST:
        return OffsetLost(f"the topic does not hold the offset: {_said(error)} ({doing})")
    if name in _TOPIC_MISSING:
        return TopicMissing(f"the topic does not exist ({doing}); create it or correct its name")
    damage = "a record is damaged" if name in _DAMAGED else "Kafka failed"
    return MustStop(f"{damage} ({doing}): {_said(error)}")


def _said(error: KafkaError) -> str:
    text = error.str()
    return f"{text}{error.name()}" if text.endswith(": ") else text


def _is_replaced(error: KafkaError) -> bool:
    """Whether another process has joined as this member; a consumer's error says it in its text."""
    return error.name() == "_FATAL" and "group.instance.id" in error.str()
