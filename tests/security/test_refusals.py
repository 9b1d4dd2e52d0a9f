"""What is wrong at the start is one line and its own exit code, and nothing tells a secret."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import typer
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

import consumer_transform
import producer
from flagpost import cli
from flagpost.errors import (
    BadConfiguration,
    FlagpostError,
    ModelRefused,
    SchemaOutdated,
    TopicMissing,
    Unavailable,
    UnreadableInput,
)
from flagpost.kafka import group
from flagpost.model_manifest import manifest_path
from flagpost.postgres.upgrade import upgrade
from flagpost.settings import PRETRAINED_MODEL
from flagpost.training import model_commands
from tests.end_to_end.pipeline import LOG, beginning_of
from tests.security.certificates import Authority
from tests.security.conftest import PASSWORD
from tests.security.kafka import SecureKafka
from tests.security.postgres import SecurePostgres

WRONG = "wrong-horse-battery"
MODEL_KEY = "fedcba9876543210fedcba9876543210"
SECRETS = (PASSWORD, WRONG, MODEL_KEY)

WORKER = "consumer_transform.py --until-caught-up"
PRODUCER = "producer.py log.json"
MIGRATE, ROLES, DRIFT = "flagpost migrate", "flagpost roles", "flagpost drift"
STATUS, LETTERS = "flagpost status", "flagpost dead-letters list"
LABEL, REWIND = "flagpost label T1 --fraud", "flagpost rewind --to 0 --yes"
EVALUATE, TRAIN = "fraud_model.py evaluate log.json", "fraud_model.py train log.json --out m.joblib"
FEATURES = "fraud_model.py features log.json --out f.parquet"
EXPLAIN = "fraud_model.py explain T1 --log log.json"
COMPARE = "fraud_model.py compare log.json"
OPERATIONS = [STATUS, LETTERS, LABEL, REWIND]
LEARNING = [EVALUATE, TRAIN, FEATURES, EXPLAIN, COMPARE]

Case = tuple[dict[str, str], type[FlagpostError], str]

# By the programs that meet it. `{...}` is filled in from the fixtures.
CASES: dict[str, tuple[list[str], Case]] = {
    "an impossible number": (
        [WORKER, PRODUCER, MIGRATE, ROLES, DRIFT, *LEARNING, *OPERATIONS],
        ({"MAX_DEAD_SHARE": "2"}, BadConfiguration, "FLAGPOST_MAX_DEAD_SHARE"),
    ),
    "an unknown choice": (
        [WORKER, PRODUCER, MIGRATE],
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, BadConfiguration, "FLAGPOST_KAFKA_SECURITY_PROTOCOL"),
    ),
    "no mapping": (
        [WORKER, PRODUCER, EVALUATE, TRAIN, FEATURES, EXPLAIN, COMPARE],
        ({"MAPPING": "none.toml"}, BadConfiguration, "none.toml"),
    ),
    "a mapping that is none": (
        [WORKER, PRODUCER, EVALUATE],
        ({"MAPPING": "log.json"}, BadConfiguration, "log.json"),
    ),
    "no brokers": (
        [WORKER, PRODUCER, LETTERS, REWIND],
        ({"KAFKA_BOOTSTRAP": ""}, BadConfiguration, "FLAGPOST_KAFKA_BOOTSTRAP"),
    ),
    "wrong password for Kafka": (
        [WORKER, PRODUCER, LETTERS, REWIND],
        ({"KAFKA_PASSWORD": WRONG}, BadConfiguration, "FLAGPOST_KAFKA_PASSWORD"),
    ),
    "unknown authority of Kafka": (
        [WORKER, PRODUCER, LETTERS, REWIND],
        ({"KAFKA_CA_FILE": "{foreign_ca}"}, BadConfiguration, "FLAGPOST_KAFKA_CA_FILE"),
    ),
    "no Kafka there": (
        [WORKER, PRODUCER, LETTERS, REWIND],
        ({"KAFKA_BOOTSTRAP": "127.0.0.1:1"}, Unavailable, "Kafka does not answer"),
    ),
    "no topic": (
        [WORKER],
        ({"TOPIC": "nowhere", "KAFKA_CLIENT": "confluent"}, TopicMissing, "does not exist"),
    ),
    "no log": (
        [PRODUCER.replace("log.json", "none.json"), EVALUATE.replace("log.json", "none.json")],
        ({}, UnreadableInput, "none.json"),
    ),
    "no database": (
        [WORKER, MIGRATE, ROLES, DRIFT, LABEL, REWIND],
        ({"DATABASE_URL": ""}, BadConfiguration, "FLAGPOST_DATABASE_URL"),
    ),
    "wrong password for PostgreSQL": (
        [WORKER, MIGRATE, ROLES, DRIFT, LABEL, REWIND],
        ({"DATABASE_URL": "{wrong_password}"}, BadConfiguration, "password authentication failed"),
    ),
    "PostgreSQL without TLS": (
        [WORKER, MIGRATE, ROLES, DRIFT, LABEL, REWIND],
        ({"DATABASE_URL": "{no_tls}"}, BadConfiguration, "no encryption"),
    ),
    "no PostgreSQL there": (
        [WORKER, MIGRATE, ROLES, DRIFT, LABEL, REWIND],
        ({"DATABASE_URL": "{nobody}"}, Unavailable, "PostgreSQL is unavailable"),
    ),
    "no tables": (
        [WORKER, ROLES, DRIFT, LABEL, REWIND],
        ({"DATABASE_URL": "{empty}"}, SchemaOutdated, "flagpost migrate"),
    ),
    "older tables": (
        [WORKER],
        ({"DATABASE_URL": "{older}"}, SchemaOutdated, "older than this program"),
    ),
    "newer tables": (
        [WORKER, MIGRATE],
        ({"DATABASE_URL": "{newer}"}, SchemaOutdated, "newer than this program"),
    ),
    "no model": (
        [WORKER, EVALUATE, FEATURES, EXPLAIN, f"{COMPARE} none.joblib"],
        ({"MODEL": "none.joblib"}, ModelRefused, "none.joblib"),
    ),
    "a model that is none": (
        [WORKER, EVALUATE, FEATURES, EXPLAIN, f"{COMPARE} garbage.joblib"],
        ({"MODEL": "garbage.joblib"}, ModelRefused, "is not a model manifest"),
    ),
    "a tampered model": (
        [WORKER, EVALUATE, FEATURES, EXPLAIN, f"{COMPARE} tampered.joblib"],
        ({"MODEL": "tampered.joblib"}, ModelRefused, "the SHA-256 differs"),
    ),
    "a model of other libraries": (
        [WORKER, EVALUATE, FEATURES, EXPLAIN, f"{COMPARE} foreign.joblib"],
        ({"MODEL": "foreign.joblib"}, ModelRefused, "was made with scikit-learn 0.1.0"),
    ),
    "a model without signature": (
        [WORKER, EVALUATE, FEATURES, EXPLAIN, f"{COMPARE} unsigned.joblib"],
        ({"MODEL": "unsigned.joblib", "MODEL_KEY": MODEL_KEY}, ModelRefused, "is not signed"),
    ),
    "a short key": (
        [WORKER, EVALUATE, TRAIN, COMPARE],
        ({"MODEL_KEY": WRONG}, BadConfiguration, "FLAGPOST_MODEL_KEY"),
    ),
}


def command(main: object) -> typer.Typer:
    app = typer.Typer()
    app.command()(main)  # type: ignore[type-var]  # any command
    return app


APPS = {
    "consumer_transform.py": command(consumer_transform.main),
    "producer.py": command(producer.main),
    "flagpost": cli.app,
    "fraud_model.py": model_commands.app,
}


@pytest.fixture(scope="module")
def urls(postgres: SecurePostgres) -> Iterator[dict[str, str]]:
    """A database in each state of its tables, and URLs that lead nowhere."""
    good = make_url(postgres.verified_url)
    states = ("current", "empty", "older", "newer")
    with psycopg.connect(postgres.verified_url, autocommit=True) as server:
        for state in states:
            server.execute(f"CREATE DATABASE {state}")
        parts = {
            **{state: good.set(database=state) for state in states},
            "wrong_password": good.set(password=WRONG),
            "no_tls": good.set(query={"sslmode": "disable"}),
            "nobody": good.set(port=1),
        }
        shown = {name: url.render_as_string(hide_password=False) for name, url in parts.items()}
        for state in ("current", "older", "newer"):
            upgrade(shown[state])
        for state, version in {"older": "0001", "newer": "from the future"}.items():
            with psycopg.connect(shown[state]) as connection:
                connection.execute("UPDATE stream.schema_version SET version_num = %s", [version])
        yield shown
        for state in states:
            server.execute(f"DROP DATABASE {state} WITH (FORCE)")


@pytest.fixture
def environment(
    kafka: SecureKafka,
    urls: dict[str, str],
    foreign_ca: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, str]:
    """Settings that are right, in a directory with a log and models that are not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(group, "REQUEST_SECONDS", 2)
    monkeypatch.setattr(group, "TOPIC_GRACE_SECONDS", 1)
    Path("log.json").write_bytes(b"\n".join(beginning_of(LOG, 10)))
    for name in ("tampered", "foreign", "unsigned", "garbage"):
        copy_model(Path(f"{name}.joblib"))
    Path("tampered.joblib").write_bytes(b"another file")
    Path("garbage.manifest.json").write_text("[]")
    manifest = json.loads(Path("foreign.manifest.json").read_text())
    manifest["libraries"]["scikit-learn"] = "0.1.0"
    Path("foreign.manifest.json").write_text(json.dumps(manifest))
    told = kafka.settings(database_url=urls["current"])
    return {f"FLAGPOST_{name.upper()}": str(value) for name, value in told.items()}


def copy_model(path: Path) -> None:
    shutil.copy(PRETRAINED_MODEL, path)
    shutil.copy(manifest_path(PRETRAINED_MODEL), manifest_path(path))


@pytest.mark.parametrize(
    ("case", "line"), [(case, line) for case, (lines, _) in CASES.items() for line in lines]
)
def test_a_refusal_is_one_line_and_its_exit_code(
    case: str,
    line: str,
    environment: dict[str, str],
    urls: dict[str, str],
    foreign_ca: Authority,
    capfd: pytest.CaptureFixture[str],
) -> None:
    changed, error, named = CASES[case][1]
    places = {**urls, "foreign_ca": foreign_ca.ca_file}
    variables = {f"FLAGPOST_{k}": v.format(**places) for k, v in changed.items()}
    program, *arguments = line.split()

    ended = CliRunner().invoke(APPS[program], arguments, env=environment | variables)

    assert ended.exit_code == error.exit_code, ended.output
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    assert named in ended.stderr
    logged = capfd.readouterr()
    told = (
        f"{ended.output} {logged.out} {logged.err} {ended.exception!r} {chain_of(ended.exception)}"
    )
    assert not [secret for secret in SECRETS if secret in told]


def chain_of(error: BaseException | None) -> list[str]:
    """Everything that a traceback would show of what led to an error."""
    shown = []
    while error is not None:
        shown += [repr(error), str(error)]
        error = error.__cause__ or error.__context__
    return shown


BUG = """
import producer, typer
def broken(access, partitions):
    raise RuntimeError(f"a bug with {access} in hand")
producer.ensure_topics = broken
app = typer.Typer(pretty_exceptions_enable=False)
app.command()(producer.main)
app()
"""


def test_the_trace_of_a_bug_tells_no_secret(environment: dict[str, str]) -> None:
    process = subprocess.Popen(  # noqa: S603 - the program above
        [sys.executable, "-c", BUG, "log.json"],
        env=os.environ | environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    title = psutil.Process(process.pid).cmdline()
    _, trace = process.communicate()

    assert process.returncode == 1
    assert "RuntimeError: a bug with KafkaAccess(" in trace
    assert PASSWORD not in f"{trace} {title}"
