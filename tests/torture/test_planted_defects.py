"""The harness is checked: it passes a sound worker and catches every worker with a defect."""

import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from flagpost.model import FraudModel
from flagpost.settings import PRETRAINED_MODEL, KafkaClient
from flagpost.torture.database_proxy import proxy_before
from flagpost.torture.disturbed_log import write_disturbed_log
from flagpost.torture.invariants.violations import Harm
from flagpost.torture.plan import Fault, Kind, Plan
from flagpost.torture.run import MEMBER, Outcome, torture
from flagpost.torture.site import Site
from tests.stack import Servers, clone_of

AT_ONCE = 2
BEGAN = datetime(2026, 3, 1, 10, tzinfo=UTC)


@dataclass(frozen=True)
class Trial:
    """What runs, what goes wrong, and what has to be found: an invariant and a harm."""

    defect: str | None
    kind: Kind
    found: tuple[str, Harm] | None
    seconds: float = 1.0
    moment: float = 0.1
    n_members: int = 1
    log: str = "long"
    client: KafkaClient = "confluent"
    is_without_keys: bool = False


TRIALS = {
    "no epoch": Trial("no epoch", Kind.ZOMBIE, ("I1", Harm.OTHER)),
    "no epoch, kafka-python": Trial(
        "no epoch", Kind.ZOMBIE, ("I1", Harm.OTHER), client="kafka-python"
    ),
    # It may be faster than who gives the order, which therefore comes first.
    "sound against a zombie": Trial(None, Kind.ZOMBIE, None, moment=0.0),
    "no next_offset condition": Trial(
        "no next_offset condition", Kind.REPLY_LOST, ("I1", Harm.DOUBLED)
    ),
    "plain INSERT": Trial(
        "plain INSERT", Kind.DIE_BEFORE_COMMIT, ("I2", Harm.DOUBLED), is_without_keys=True
    ),
    "totals of their own": Trial(
        "totals of their own", Kind.DIE_BEFORE_COMMIT, ("I2", Harm.DOUBLED), client="kafka-python"
    ),
    "spread of its own": Trial("spread of its own", Kind.DIE_AFTER_COMMIT, ("I2", Harm.LOST)),
    "commit before write": Trial("commit before write", Kind.DIE_AFTER_SCORING, ("I3", Harm.OTHER)),
    "commit before COMMIT": Trial(
        "commit before COMMIT", Kind.DIE_BEFORE_COMMIT, ("I3", Harm.OTHER)
    ),
    "auto-commit": Trial("auto-commit", Kind.DATABASE_AWAY, ("I3", Harm.OTHER), seconds=4),
    "latest reset": Trial("latest reset", Kind.KILL, ("I4", Harm.LOST)),
    "little slack": Trial(
        "little slack", Kind.FREEZE, ("I6", Harm.OTHER), moment=0.3, n_members=2, log="dense"
    ),
    "sound beside a frozen member": Trial(
        None, Kind.FREEZE, None, moment=0.3, n_members=2, log="dense", client="kafka-python"
    ),
    "merges that drop": Trial(
        "merges that drop", Kind.KILL, ("I4", Harm.LOST), moment=0.8, log="hour"
    ),
    "sound with frequent merges": Trial("frequent merges", Kind.KILL, None, moment=0.8, log="hour"),
    "dropped dead letters": Trial("dropped dead letters", Kind.JOIN, ("I5", Harm.LOST)),
    "empty dead letters": Trial("empty dead letters", Kind.KILL, ("I5", Harm.CHANGED)),
    "silence towards Kafka": Trial("silence towards Kafka", Kind.STOP, ("I3", Harm.OTHER)),
    "no checkpoints": Trial("no checkpoints", Kind.DIE_AFTER_COMMIT, ("I1", Harm.LOST)),
    "wrong levels": Trial("wrong levels", Kind.DIE_AFTER_COMMIT, ("I2", Harm.CHANGED)),
    "anonymous labels": Trial("anonymous labels", Kind.KILL, ("I2", Harm.CHANGED)),
}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three logs: in the dense one much happens within the hours that one may be ahead of others.

    It has no labels: a partition of which no time is known lets nobody go on. That of an hour is
    one without checkpoints but the first, so all its rows can be merged.
    """
    directory = tmp_path_factory.mktemp("torture")
    logs = {name: directory / f"{name}.json" for name in ("long", "dense", "hour")}
    write_disturbed_log(logs["long"], customers=20, terminals=10, days=60, seed=5, n_bad=30)
    write_disturbed_log(logs["dense"], customers=500, terminals=250, days=4, seed=5, n_bad=30)
    lines = logs["dense"].read_bytes().splitlines(keepends=True)
    logs["dense"].write_bytes(b"".join(line for line in lines if b'"type":"label"' not in line))
    logs["hour"].write_bytes(b"".join(map(payment, range(3_000))))
    return logs


def payment(number: int) -> bytes:
    second = BEGAN + timedelta(seconds=number)
    return (
        b'{"transaction_id":"TX%d","timestamp":"%s","user_id":"C%d","terminal_id":"T%d",'
        b'"amount":%d}\n'
        % (number, second.isoformat().encode(), number % 70, number % 30, number % 90 + 1)
    )


@pytest.fixture(scope="module")
def flags_everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model by which every batch has flagged rows."""
    model = FraudModel.load(PRETRAINED_MODEL)
    model.threshold = 0.0
    path = tmp_path_factory.mktemp("model") / "everything.joblib"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def outcomes(
    stack: Servers,
    template_database: str,
    logs: dict[str, Path],
    flags_everything: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, "Future[Outcome]"]]:
    def run(trial: Trial, directory: Path) -> Outcome:
        name = f"torture-{uuid.uuid4().hex}"
        program = ("-m", "tests.torture.broken_member", trial.defect) if trial.defect else MEMBER
        plan = Plan(0, trial.n_members, [Fault(trial.kind, 0.0, trial.moment, trial.seconds)])
        with clone_of(template_database, name, stack) as url, proxy_before(url) as proxy:
            if trial.is_without_keys:
                _forget_keys_of_flagged(url)
            site = Site(directory, stack.kafka_bootstrap, url, proxy, name, trial.client)
            return torture(site, plan, logs[trial.log], [flags_everything], program=program)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            name: pool.submit(run, trial, tmp_path_factory.mktemp("members"))
            for name, trial in TRIALS.items()
        }


def _forget_keys_of_flagged(database_url: str) -> None:
    """Take the last net away: a table that people make themselves may have no key."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "ALTER TABLE scores.fraud_transactions DROP CONSTRAINT fraud_transactions_pkey"
        )


@pytest.mark.parametrize("name", TRIALS)
def test_a_defect_is_caught_by_the_invariant_that_it_breaks(
    name: str, outcomes: dict[str, "Future[Outcome]"]
) -> None:
    outcome = outcomes[name].result()

    assert [episode.kind for episode in outcome.episodes] == [TRIALS[name].kind]
    found = {(each.invariant, each.harm) for each in outcome.violations}
    expected = TRIALS[name].found
    assert found == set() if expected is None else expected in found, outcome.violations
