"""How a member of the scoring group behaves, whichever client it uses."""

from dataclasses import dataclass

SESSION_SECONDS = 10
"""A member that dies is replaced after this long. Both clients send heartbeats from a thread of
their own, so a long batch does not count as death; the usual 45 s would be 45 s without scores."""


@dataclass(frozen=True)
class GroupMember:
    """Which group a source joins, and as whom.

    With a `member_id`, Kafka's `group.instance.id`, a process that starts anew is the member that
    it was before, and gets its partitions back at once. Without one it is a new member.
    """

    group_id: str
    member_id: str = ""
    session_seconds: int = SESSION_SECONDS


HEARTBEAT_SECONDS = 1
"""How soon a member hears that the group is being shared out anew."""

MAX_POLL_SECONDS = 300
"""A member that hangs is replaced after this long. Loading the state of new partitions happens
between two polls and has to fit."""

REQUEST_SECONDS = 10
"""How long a question to the broker may take before the caller hears `Unavailable`."""

LEAVE_SECONDS = 3
"""How long `close` waits for the broker."""

FETCH_WAIT_MS = 100
"""How long a broker may hold an empty answer back. A message ends the wait at once; a partition
that was just sought waits for it, which is why it is short."""

BATCH_SECONDS = 0.0051
"""Small batches are so far apart on average, for each is a commit: with the few others of a worker
some 200 a second. What usually comes meanwhile is worth a wait, see `influx`."""

GATHER_SECONDS = 0.003
"""The longest such wait, from the first message on."""

COMMIT_INTERVAL_SECONDS = 1.0
"""Commits to Kafka only inform lag tools; sending each batch's would cost more than it tells."""

TOPIC_GRACE_SECONDS = 5.0
"""A broker that has just started may not know a topic yet; after this long it is missing."""

METADATA_SECONDS = 10
"""How soon partitions that are added to a topic are noticed; the clients' default is 5 minutes."""

RECONNECT_SECONDS = 2
"""The longest pause between two attempts to reach a broker that is away."""

POLL_SLICE_SECONDS = 0.05
"""The clients wait for messages alone; this is how soon a new assignment is reported."""
