"""Faust: an agent that takes events by the batch, a table in memory with a changelog topic.

A batch's rows are written before its events are acknowledged, and only acknowledged events are
committed. Within a batch each customer's history is put into the table once.
"""

import asyncio
import logging
import signal

import faust
import psycopg
import uvloop

from bench.peers.job import UPSERT, History, Scorer, columns, decode
from bench.peers.task import COMMIT_SECONDS, Stopwatch, Task, calm_garbage_collector

PARTITIONS = 4
BATCH_EVENTS = 40_000
BATCH_SECONDS = 1.0

task, stopwatch = Task.from_environment(), Stopwatch()
scorer = Scorer(task.threshold)
app = faust.App(
    task.group,
    broker=f"kafka://{task.bootstrap}",
    datadir=task.state_folder,
    store="memory://",
    topic_partitions=PARTITIONS,
    topic_disable_leader=True,
    web_enabled=False,
    key_serializer="raw",
    value_serializer="raw",
    broker_commit_interval=COMMIT_SECONDS,
    broker_max_poll_records=10_000,
    consumer_auto_offset_reset="earliest",
    consumer_max_fetch_size=4 << 20,
    producer_compression_type="lz4",
    producer_linger=0.02,
    producer_max_batch_size=256 << 10,
    stream_buffer_maxsize=BATCH_EVENTS,
)
transactions = app.topic(task.topic)
histories = app.Table(
    "histories",
    key_type=bytes,
    value_type=bytes,
    partitions=PARTITIONS,
    use_partitioner=True,  # of the events of a batch, which may be of any partition
)


@app.agent(transactions)
async def score(stream: "faust.StreamT[bytes]") -> None:
    database = await psycopg.AsyncConnection.connect(task.database_url, autocommit=True)
    async for events in stream.take_events(BATCH_EVENTS, within=BATCH_SECONDS):
        changed: dict[bytes, History] = {}
        flagged = []
        for event in events:
            stopwatch.count()
            history = changed.get(event.key)
            if history is None:
                history = changed[event.key] = History.from_bytes(histories.get(event.key))
            row = scorer.score(history, decode(event.value))
            if row:
                flagged.append(row)
        for user_id, history in changed.items():
            histories[user_id] = history.to_bytes()
        if flagged:
            await database.execute(UPSERT, columns(flagged))


@app.task
async def watch() -> None:
    """Take the time from the first message; commit and end when all are acknowledged."""
    while not app.monitor.messages_received_total:
        await asyncio.sleep(0.01)
    stopwatch.begin()
    while stopwatch.counted < task.events:
        await asyncio.sleep(0.01)
    await app.consumer.wait_empty()
    stopwatch.finish()
    signal.raise_signal(signal.SIGTERM)


if __name__ == "__main__":
    uvloop.install()
    calm_garbage_collector()
    logging.disable(logging.INFO)  # aiokafka makes a record of each message it sends
    faust.Worker(app, loglevel="ERROR", redirect_stdouts=False).execute_from_commandline()
