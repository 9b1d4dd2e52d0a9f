"""PyFlink: a keyed function over Flink's state, rows through its table sink for JDBC.

The sink writes its rows before a checkpoint is over; offsets and histories are in the checkpoint.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from py4j.protocol import Py4JError
from pyflink.common import Configuration, Types, WatermarkStrategy
from pyflink.common.serialization import SimpleStringSchema
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.connectors.kafka import KafkaOffsetsInitializer, KafkaSource
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment

from bench.peers.apps.pyflink_functions import Score, user_of
from bench.peers.job import TABLE, Flagged
from bench.peers.task import COMMIT_SECONDS, Stopwatch, Task

JVM_OPTIONS = "-Xms1g -Xmx1g -Duser.timezone=UTC --enable-native-access=ALL-UNNAMED"

ROW = Types.ROW_NAMED(
    list(Flagged._fields),
    [Types.STRING(), Types.STRING(), Types.SQL_TIMESTAMP(), Types.LONG(), Types.DOUBLE()],
)

CREATE_SINK = """
    CREATE TABLE sink (
        transaction_id STRING, user_id STRING, event_time TIMESTAMP(6), amount_cents BIGINT,
        fraud_probability DOUBLE, PRIMARY KEY (transaction_id) NOT ENFORCED
    ) WITH (
        'connector' = 'jdbc', 'table-name' = '{table}', 'url' = 'jdbc:postgresql://{server}',
        'username' = '{user}', 'password' = '{password}',
        'sink.buffer-flush.max-rows' = '1000', 'sink.buffer-flush.interval' = '{flush_ms}ms'
    )
"""


def main() -> None:
    """Score everything in the topic."""
    java_home, jars = map(Path, sys.argv[1:])
    task = Task.from_environment()
    begun = task.state_folder / "begun"
    os.environ.update(
        JAVA_HOME=str(java_home),
        JVM_ARGS=JVM_OPTIONS,
        PYTHONPATH=os.pathsep.join(sys.path),  # for the interpreter in the JVM
    )
    environment = StreamExecutionEnvironment.get_execution_environment(configuration(task, jars))
    tables = StreamTableEnvironment.create(environment)
    messages = environment.from_source(source(task), WatermarkStrategy.no_watermarks(), "topic")
    flagged = messages.key_by(user_of, Types.STRING()).process(Score(task.threshold, begun), ROW)
    tables.create_temporary_view("flagged", flagged)
    tables.execute_sql(create_sink(task))
    tables.execute_sql("INSERT INTO sink SELECT * FROM flagged").wait()
    Stopwatch.begun_at(float(begun.read_text())).finish()
    end_jvm()


def configuration(task: Task, jars: Path) -> Configuration:
    """Set Flink up: one thread, Python in the JVM, and nothing that other machines can reach."""
    configured = Configuration()
    for name, value in {
        "pipeline.jars": ";".join(jar.as_uri() for jar in jars.glob("*.jar")),
        "pipeline.object-reuse": "true",
        "parallelism.default": "1",
        "python.execution-mode": "thread",
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
        "execution.checkpointing.interval": f"{COMMIT_SECONDS:.0f} s",
        "execution.checkpointing.storage": "filesystem",
        "execution.checkpointing.dir": (task.state_folder / "checkpoints").as_uri(),
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.buffer-timeout.interval": "1 ms" if task.is_live else "100 ms",
        "restart-strategy.type": "none",
        "jobmanager.bind-host": "localhost",
        "taskmanager.bind-host": "localhost",
        "rest.bind-address": "localhost",
        "rest.bind-port": "0",
    }.items():
        configured.set_string(name, value)
    return configured


def source(task: Task) -> KafkaSource:
    """Return the topic: all of it that is there, or all that will come."""
    builder = (
        KafkaSource.builder()
        .set_bootstrap_servers(task.bootstrap)
        .set_topics(task.topic)
        .set_group_id(task.group)
        .set_starting_offsets(KafkaOffsetsInitializer.earliest())
        .set_value_only_deserializer(SimpleStringSchema())
    )
    if not task.is_live:
        builder.set_bounded(KafkaOffsetsInitializer.latest())
    return builder.build()


def create_sink(task: Task) -> str:
    """Return the statement that tells Flink of the table."""
    url = urlsplit(task.database_url)
    return CREATE_SINK.format(
        table=TABLE,
        server=f"{url.hostname}:{url.port}{url.path}",
        user=url.username,
        password=url.password,
        flush_ms=int(1000 * task.flush_seconds),
    )


def end_jvm() -> None:
    """End it and wait for that: its processor time counts as this program's."""
    with suppress(Py4JError):
        get_gateway().jvm.System.exit(0)
    os.wait()


if __name__ == "__main__":
    main()
