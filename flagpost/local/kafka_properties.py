"""The broker's configuration: one node, small, loopback only."""

from pathlib import Path

from flagpost.local.ports import LOOPBACK
from flagpost.local.record import Record

VERSION = "4.3.1"
FIXED = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    # A misspelt topic is an error, not a new topic.
    "auto.create.topics.enable": "false",
    # One node holds every replica; few partitions keep the start short.
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 4,
    # A lone consumer need not wait for company.
    "group.initial.rebalance.delay.ms": 0,
    # A replayed log carries times of any year: keep it, and refuse none.
    "log.retention.ms": -1,
    "log.message.timestamp.after.max.ms": 2**63 - 1,
    "num.network.threads": 2,
    "num.io.threads": 4,
    "log.cleaner.dedupe.buffer.size": 16 * 1024**2,
}


def kafka_properties(record: Record, data: Path) -> str:
    """Write the text of `server.properties`."""
    broker = f"PLAINTEXT://{record.kafka_bootstrap}"
    controller = f"{LOOPBACK}:{record.controller_port}"
    chosen = {
        "listeners": f"{broker},CONTROLLER://{controller}",
        "advertised.listeners": broker,
        "controller.quorum.voters": f"1@{controller}",
        "log.dirs": data.as_posix(),
    }
    return "".join(f"{name}={value}\n" for name, value in {**FIXED, **chosen}.items())
