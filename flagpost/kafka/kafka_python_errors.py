"""kafka-python's exceptions, translated once."""

from collections.abc import Mapping

from kafka import TopicPartition
from kafka import errors as kafka_errors

from flagpost.errors import (
    BadConfiguration,
    FlagpostError,
    MemberReplaced,
    MustStop,
    OffsetLost,
    Unavailable,
)

_REFUSED = (
    kafka_errors.AuthorizationError,
    kafka_errors.GroupMaxSizeReachedError,
    kafka_errors.IllegalSaslStateError,
    kafka_errors.InconsistentGroupProtocolError,
    kafka_errors.InvalidGroupIdError,
    kafka_errors.InvalidReplicationFactorError,
    kafka_errors.InvalidSessionTimeoutError,
    kafka_errors.InvalidTopicError,
    kafka_errors.KafkaConfigurationError,
    kafka_errors.PolicyViolationError,
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.UnsupportedCodecError,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.UnsupportedVersionError,
)

_REJOINING = (
    kafka_errors.CommitFailedError,
    kafka_errors.IllegalGenerationError,
    kafka_errors.RebalanceInProgressError,
    kafka_errors.UnknownMemberIdError,
)


def is_passing(error: kafka_errors.KafkaError) -> bool:
    """Whether the client mends this by itself: a broker is away, or the group changes hands."""
    return isinstance(error, (kafka_errors.RetriableError, *_REJOINING))


def translated(error: kafka_errors.KafkaError, doing: str) -> FlagpostError:
    """What the caller has to do about `error`, which came up while `doing` something."""
    if is_passing(error):
        return Unavailable(f"Kafka does not answer ({doing}): {type(error).__name__}")
    if isinstance(error, _REFUSED):
        return BadConfiguration(f"Kafka refuses {doing}: {error}")
    match error:
        case kafka_errors.OffsetOutOfRangeError():
            return OffsetLost(f"{_named(error.args[0])} is outside what the topic holds")
        case kafka_errors.LogTruncationError():
            return OffsetLost(f"the log ends before what was read of it: {error}")
        case kafka_errors.FencedInstanceIdError():
            return MemberReplaced()
    is_damage = isinstance(error, kafka_errors.CorruptRecordError)
    problem = "a record is damaged" if is_damage else "Kafka failed"
    return MustStop(f"{problem} ({doing}): {type(error).__name__}: {error}")


def _named(offsets: Mapping[TopicPartition, int]) -> str:
    return ", ".join(
        f"offset {offset} of {native.topic}[{native.partition}]"
        for native, offset in offsets.items()
    )
