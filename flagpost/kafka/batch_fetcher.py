"""How kafka-python fetches for us: batches, and with one word between its two threads.

The client's thread talks to the broker while the worker's waits. By itself the client hands over
twice for every fetch, to send it and to wait for it, and ends a wait without records by an error
that keeps all frames of the worker's thread alive, with the messages in them, until Python looks
for cycles. A small poll spent a third of its time on the one, and a replay 200 MB on the other.
"""

from contextlib import suppress

from kafka.consumer.fetcher import ConsumerRecord, Fetcher
from kafka.errors import KafkaTimeoutError
from kafka.future import Future
from kafka.structs import TopicPartition

from flagpost.kafka.record_batches import PartitionBatches

Fetched = dict[TopicPartition, list[ConsumerRecord]]


class BatchFetcher(Fetcher):
    """Takes the place of the client's fetcher; the value of each of its records is `Records`."""

    PartitionRecords = PartitionBatches

    def fetch_records(
        self,
        max_records: int | None = None,
        update_offsets: bool = True,  # noqa: FBT001, FBT002 - the client's own signature
        timeout_ms: float | None = None,
    ) -> tuple[Fetched, bool]:
        """Return what has come, or wait for it, and whether there was nothing to wait for.

        The next fetch is under way when records are returned that came before this call.
        """
        records, is_partial = self.fetched_records(max_records, update_offsets)
        if records:
            if not is_partial:
                self.send_fetches()
            return records, False
        is_waited_for = self._net.run(self._send_and_wait, timeout_ms)
        records, _ = self.fetched_records(max_records, update_offsets)
        return records, not is_waited_for

    async def _send_and_wait(self, timeout_ms: float | None) -> bool:
        """Wait until something has come; say whether there was anything to wait for."""
        await self._send_fetches_async()
        if self._completed_fetches:  # it came while this thread was asked
            return True
        waited_on = list(self._fetch_futures)
        if self._reset_task is not None and not self._reset_task.is_done:
            waited_on.append(self._reset_task)
        has_come = Future()
        for future in waited_on:
            future.add_both(lambda _: has_come.is_done or has_come.success(None))
        if waited_on:
            with suppress(KafkaTimeoutError):
                await self._manager.wait_for(has_come, timeout_ms)
        return bool(waited_on)
