"""PyFlink: a keyed process function, rows by Flink's own JDBC sink, offsets with checkpoints.

A checkpoint flushes the sink's rows; when it is complete the source commits its offsets. Python
runs in threads of the JVM, which spares it the way between two processes.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from pyflink.common import Configuration, Row, SimpleStringSchema, Types, WatermarkStrategy
from pyflink.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from pyflink.datastream.connectors.kafka import KafkaOffsetsInitializer, KafkaSource
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.table import StreamTableEnvironment

from bench.peers.job import TABLE, History, Scorer, decode
from bench.peers.task import Task

SLOTS = 2
ROW = Types.ROW_NAMED(
    ["transaction_id", "user_id", "event_time", "amount_cents", "fraud_probability"],
    [Types.STRING(), Types.STRING(), Types.SQL_TIMESTAMP(), Types.LONG(), Types.DOUBLE()],
)
SINK = """
    CREATE TABLE flagged (
        transaction_id STRING, user_id STRING, event_time TIMESTAMP(3), amount_cents BIGINT,
        fraud_probability DOUBLE, PRIMARY KEY (transaction_id) NOT ENFORCED
    ) WITH (
        'connector' = 'jdbc', 'url' = 'jdbc:postgresql://{host}{path}', 'table-name' = '{table}',
        'username' = '{username}', 'password' = '{password}',
        'sink.buffer-flush.max-rows' = '1000', 'sink.buffer-flush.interval' = '0'
    )
"""


class Score(KeyedProcessFunction):
    """One customer's history a key, as bytes."""

    def __init__(self, first_message: Path) -> None:
        self._first_message = first_message

    def open(self, runtime_context: RuntimeContext) -> None:
        self._scorer = Scorer()
        self._has_begun = False
        descriptor = ValueStateDescriptor("history", Types.PRIMITIVE_ARRAY(Types.BYTE()))
        self._history = runtime_context.get_state(descriptor)

    def process_element(
        self,
        value: str,
        ctx: KeyedProcessFunction.Context,  # noqa: ARG002
    ) -> Iterator[Row]:
        if not self._has_begun:
            self._has_begun = True
            self._first_message.with_suffix(str(id(self))).write_text(str(time.time()))
        history = History.from_bytes(self._history.value())
        flagged = self._scorer.score(history, decode(value))
        self._history.update(history.to_bytes())
        if flagged:
            yield Row(*flagged._replace(event_time=flagged.event_time.replace(tzinfo=None)))


def user_of(value: str) -> str:
    return decode(value).user_id


def main() -> None:
    """Score everything in the topic."""
    task = Task.from_environment()
    environment = StreamExecutionEnvironment.get_execution_environment(configuration())
    environment.set_parallelism(SLOTS)
    source = (
        KafkaSource.builder()
        .set_bootstrap_servers(task.bootstrap)
        .set_topics(task.topic)
        .set_group_id(task.group)
        .set_starting_offsets(KafkaOffsetsInitializer.earliest())
        .set_bounded(KafkaOffsetsInitializer.latest())
        .set_value_only_deserializer(SimpleStringSchema())
        .build()
    )
    first_message = task.state_folder / "first"
    flagged = (
        environment.from_source(source, WatermarkStrategy.no_watermarks(), "transactions")
        .key_by(user_of, Types.STRING())
        .process(Score(first_message), ROW)
    )
    tables = StreamTableEnvironment.create(environment)
    url = urlsplit(task.database_url)
    host = url.netloc.rpartition("@")[2]
    tables.execute_sql(
        SINK.format(
            host=host, path=url.path, table=TABLE, username=url.username, password=url.password
        )
    )
    tables.from_data_stream(flagged).execute_insert("flagged").wait()
    ended = time.time()
    began = min(float(file.read_text()) for file in task.state_folder.glob("first*"))
    sys.stdout.write(f"seconds={ended - began:.6f}\n")
    end_gateway()


def configuration() -> Configuration:
    """Set Flink up; its connectors are in the folder that the command line names."""
    jars = ";".join(jar.as_uri() for jar in Path(sys.argv[1]).glob("*.jar"))
    found = Configuration()
    for name, value in {
        "pipeline.jars": jars,
        "pipeline.object-reuse": "true",
        "python.execution-mode": "thread",
        "python.executable": sys.executable,
        "execution.checkpointing.interval": "1 s",
    }.items():
        found.set_string(name, value)
    return found


def end_gateway() -> None:
    """End the JVM and wait for it, so that its processor time counts as ours."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    for process_id in map(int, children):
        os.kill(process_id, signal.SIGTERM)
        os.waitpid(process_id, 0)


if __name__ == "__main__":
    main()
