"""How kafka-python fetches for us: batches, and with one word between its two threads.

The client's thread talks to the broker while the worker's waits. By itself the client hands over
twice for every fetch, to send it and to wait for it, and ends a wait without records by an error
that keeps frames of both threads alive, with the messages in them, until Python looks for cycles.
That cost a small poll some tenths of a millisecond, and a replay 250 MB.
"""

from kafka.consumer.fetcher import ConsumerRecord, Fetcher
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
        if waited_on:
            await self._wait(waited_on, timeout_ms)
        return bool(waited_on)

    async def _wait(self, waited_on: list[Future], timeout_ms: float | None) -> None:
        """Wait for one of some futures; unlike the client's wait, the end of time is no error."""
        is_over = Future()

        def end(_: object = None) -> None:
            if not is_over.is_done:
                is_over.success(None)

        for future in waited_on:
            future.add_both(end)
        timer = None if timeout_ms is None else self._net.call_later(timeout_ms / 1000, end)
        await is_over
        if timer is not None:
            self._net.cancel(timer)
