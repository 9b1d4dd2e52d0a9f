"""What can go wrong, named by what the caller must do about it.

    FlagpostError               a failure with a known answer: ends a command with one line
    |-- Refused                 ask again differently: nothing was done
    |   |-- BadConfiguration        a setting, an argument or a mapping file is wrong
    |   |-- UnreadableInput         a file cannot be read as what it should be
    |   `-- ModelRefused            a model file is tampered with, or made by other library versions
    |-- Unavailable             wait, then try again: a server does not answer
    |-- Fenced                  let go: another member owns the partition now
    `-- MustStop                a person has to look before anything goes on
        |-- StackFailed             a local server did not come up
        |-- SchemaOutdated          the tables are missing or older than this program
        |-- TopicMissing            the topic does not exist
        |-- OffsetLost              the next message is no longer, or not yet, in the topic
        |-- MemberReplaced          another process has joined under the id of this member
        |-- TooManyDeadLetters      so many messages are bad that their source must be
        `-- Undelivered             the broker did not acknowledge everything

A bad message is not an exception: `TransactionDecoder.decode` returns it as a value, and the worker
sends it to the dead letters. An exception outside this tree is a bug and ends the process with its
trace.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from flagpost.events import Partition


class FlagpostError(Exception):
    """A failure with a known answer.

    The message says what is wrong and how to mend it, on one line and without secrets.
    """

    exit_code: ClassVar[int] = 1


class Refused(FlagpostError):
    """Nothing was done; the request has to be put differently."""

    exit_code = 2


class BadConfiguration(Refused):
    """A setting, an argument or a mapping file is wrong."""

    exit_code = 3


class UnreadableInput(Refused):
    """A file cannot be read as what it should be."""

    exit_code = 4


class ModelRefused(Refused):
    """A model file does not fit its manifest or the libraries installed here."""

    exit_code = 5


class Unavailable(FlagpostError):
    """A server does not answer; the same call may succeed later."""

    exit_code = 10


class Fenced(FlagpostError):
    """Another member of the group has taken over partitions; their effects were not written."""

    exit_code = 11

    def __init__(self, partitions: "Collection[Partition]") -> None:
        names = ", ".join(f"{topic}[{number}]" for topic, number in sorted(partitions))
        super().__init__(f"another member of the group has taken over {names}")
        self.partitions = frozenset(partitions)


class MustStop(FlagpostError):
    """Going on would lose or double something."""

    exit_code = 20


class StackFailed(MustStop):
    """A local server did not come up or did not stop."""

    exit_code = 21


class SchemaOutdated(MustStop):
    """The database lacks tables or columns that this program needs."""

    exit_code = 22


class TopicMissing(MustStop):
    """The topic does not exist on the broker."""

    exit_code = 23


class OffsetLost(MustStop):
    """The stored position lies outside what the topic still holds."""

    exit_code = 24


class TooManyDeadLetters(MustStop):
    """The share of bad messages passed its limit."""

    exit_code = 25


class MemberReplaced(MustStop):
    """Another process has joined under the id of this one, which is no member any more."""

    exit_code = 26

    def __init__(self) -> None:
        super().__init__(
            "another process has joined the group with the FLAGPOST_MEMBER_ID of this one and has "
            "taken its place; give each process an id of its own, or none"
        )


class Undelivered(MustStop):
    """The broker did not acknowledge every message."""

    exit_code = 1
