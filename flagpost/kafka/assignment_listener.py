"""What kafka-python tells of the partitions that the group gives to a member and takes from it."""

from kafka import ConsumerRebalanceListener, KafkaConsumer
from kafka.structs import TopicPartition

from flagpost.events import Partition
from flagpost.kafka.leading_assignor import LeadingAssignor
from flagpost.kafka.membership import Membership


class AssignmentListener(ConsumerRebalanceListener):
    """Keeps `Membership` up; runs on the client's thread while the polling one waits in `poll`."""

    def __init__(
        self,
        consumer: KafkaConsumer,
        assignor: LeadingAssignor,
        membership: Membership,
    ) -> None:
        """Take the consumer that is going to be told."""
        self._consumer = consumer
        self._assignor = assignor
        self._membership = membership

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Have nothing fetched of what is new until it is sought."""
        self._consumer.pause(*assigned)
        for native in assigned:
            # Any position will do while it is paused. Without one the client would look up the
            # committed offset and, where there is none, fail.
            self._consumer.seek(native, 0)
        self._membership.gain(Partition(*native) for native in assigned)

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Note what somebody else gets."""
        self._membership.lose(Partition(*native) for native in revoked)

    def on_partitions_lost(self, lost: set[TopicPartition]) -> None:
        """Note that this process was thrown out of the group."""
        # The assignor would go on saying that this member owns them. The group would wait until it
        # gives some up, and it cannot: it has none. They would be nobody's.
        self._assignor.member_assignment = None
        self.on_partitions_revoked(lost)
