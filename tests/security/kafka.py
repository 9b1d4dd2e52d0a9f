"""A real broker that lets nobody in without certificates or passwords."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from tenacity import Retrying, stop_after_delay, wait_fixed

from flagpost.local import processes
from flagpost.local.failure import tail
from flagpost.local.kafka_jars import fetch_class_path
from flagpost.local.kafka_properties import FIXED
from flagpost.local.kafka_server import JVM_OPTIONS, find_java
from flagpost.local.ports import LOOPBACK, accepts, choose_free_port
from tests.security.certificates import Authority

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
USER = "scorer"
LISTENERS = {
    "CONTROLLER": "PLAINTEXT",
    "INTERNAL": "PLAINTEXT",
    "SECURE": "SASL_SSL",
    "UNENCRYPTED": "SASL_PLAINTEXT",
    "MUTUAL": "SSL",
    "EXPIRED": "SASL_SSL",
    "ELSEWHERE": "SASL_SSL",
}
_SECURITY = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class SecureKafka:
    """The address of each listener, and who may come in."""

    ports: dict[str, int]
    authority: Authority
    password: str = field(repr=False)

    def bootstrap(self, listener: str = "SECURE") -> str:
        return f"{LOOPBACK}:{self.ports[listener]}"

    def settings(self, listener: str = "SECURE", **changed: object) -> dict[str, object]:
        """What a member of the pipeline is told; names as in `Settings`."""
        told: dict[str, object] = {
            "kafka_bootstrap": self.bootstrap(listener),
            "kafka_security_protocol": LISTENERS[listener],
        }
        if "SASL" in LISTENERS[listener]:
            told |= {
                "kafka_sasl_mechanism": "SCRAM-SHA-512",
                "kafka_username": USER,
                "kafka_password": self.password,
            }
        if "SSL" in LISTENERS[listener]:
            told["kafka_ca_file"] = self.authority.ca_file
        return {**told, **changed}


@contextmanager
def secure_kafka(home: Path, authority: Authority, password: str) -> Iterator[SecureKafka]:
    """Start a broker; leaving the context stops it."""
    broker = SecureKafka({name: choose_free_port() for name in LISTENERS}, authority, password)
    java = [find_java(), *JVM_OPTIONS, "-cp", fetch_class_path()]
    properties, log = home / "kafka.properties", home / "kafka.log"
    text = _properties(home, broker)
    properties.write_text("".join(f"{name}={value}\n" for name, value in text.items()))
    format_it = ["format", "--cluster-id", CLUSTER_ID, "--config", str(properties)]
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        format_it += ["--add-scram", f"{mechanism}=[name={USER},password={password}]"]
    assert processes.run([*java, "kafka.tools.StorageTool", *format_it], log), tail(log)
    process = processes.spawn([*java, "kafka.Kafka", str(properties)], log)
    try:
        _await(process, broker.ports.values(), log)
        yield broker
    finally:
        processes.stop(process, signal.SIGTERM)


def _await(process: psutil.Process, ports: Iterable[int], log: Path) -> None:
    for attempt in Retrying(stop=stop_after_delay(60), wait=wait_fixed(0.1)):
        with attempt:
            assert processes.is_running(process), tail(log)
            assert all(map(accepts, ports)), tail(log)


def _properties(home: Path, broker: SecureKafka) -> dict[str, object]:
    addresses = [f"{name}://{broker.bootstrap(name)}" for name in LISTENERS]
    protocols = ",".join(f"{name}:{protocol}" for name, protocol in LISTENERS.items())
    properties = FIXED | {
        "listener.security.protocol.map": protocols,
        "listeners": ",".join(addresses),
        "advertised.listeners": ",".join(addresses[1:]),
        "inter.broker.listener.name": "INTERNAL",
        "controller.quorum.voters": f"1@{broker.bootstrap('CONTROLLER')}",
        "log.dirs": home / "data",
    }
    for listener, protocol in LISTENERS.items():
        named = f"listener.name.{listener.lower()}"
        if "SASL" in protocol:
            properties |= _passwords(named, broker.password)
    for listener, certificate in {
        "SECURE": broker.authority.sign("broker"),
        "MUTUAL": broker.authority.sign("broker"),
        "EXPIRED": broker.authority.sign_expired("expired"),
        "ELSEWHERE": broker.authority.sign("elsewhere", "elsewhere.example"),
    }.items():
        named = f"listener.name.{listener.lower()}"
        properties |= {
            f"{named}.ssl.keystore.type": "PEM",
            f"{named}.ssl.keystore.location": certificate.both,
        }
    return properties | {
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.truststore.type": "PEM",
        "listener.name.mutual.ssl.truststore.location": broker.authority.ca_file,
    }


def _passwords(named: str, password: str) -> dict[str, object]:
    plain = f'{_SECURITY}.plain.PlainLoginModule required user_{USER}="{password}";'
    scram = f"{_SECURITY}.scram.ScramLoginModule required;"
    return {
        f"{named}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        f"{named}.plain.sasl.jaas.config": plain,
        f"{named}.scram-sha-256.sasl.jaas.config": scram,
        f"{named}.scram-sha-512.sasl.jaas.config": scram,
    }
