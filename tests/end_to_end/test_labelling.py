"""What people say of transactions reaches the tables by way of the labels topic."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from typer.testing import CliRunner, Result

from flagpost.cli import app
from tests.end_to_end.pipeline import LOG, Pipeline, transactions_of

N_TRANSACTIONS = 3_000

Run = Callable[..., Result]
Labels = dict[str, list[Any]]


@pytest.fixture(scope="module")
def pipeline(
    new_pipeline: Callable[..., Pipeline], tmp_path_factory: pytest.TempPathFactory
) -> Pipeline:
    """One that has scored transactions, and has heard of no label."""
    log = tmp_path_factory.mktemp("log") / "no-labels.jsonl"
    log.write_bytes(b"\n".join(transactions_of(LOG, N_TRANSACTIONS)))
    pipeline = new_pipeline(topic_partitions=1)
    pipeline.produce(log)
    pipeline.score_all()
    return pipeline


@pytest.fixture(scope="module")
def flagged(pipeline: Pipeline) -> list[str]:
    found = sorted(pipeline.flagged())
    assert len(found) >= 6
    return found


@pytest.fixture
def run(pipeline: Pipeline) -> Run:
    settings = {f"FLAGPOST_{k.upper()}": str(v) for k, v in pipeline.settings.items()}

    def run(*arguments: object) -> Result:
        return CliRunner(env=settings).invoke(app, list(map(str, arguments)))

    return run


def stored(pipeline: Pipeline) -> Labels:
    """The stored labels by transaction, and whether they are of the transaction that is flagged."""
    with psycopg.connect(str(pipeline.settings["database_url"])) as connection:
        rows = connection.execute(
            "SELECT l.transaction_id, l.is_fraud, l.known_at::date::text, l.source, l.user_id,"
            " l.terminal_id, (f.user_id, f.terminal_id, f.ts) IS NOT DISTINCT FROM"
            " (l.user_id, l.terminal_id, l.ts) FROM label.fraud_labels l"
            " LEFT JOIN scores.fraud_transactions f USING (transaction_id)"
        )
        return {name: rest for name, *rest in rows}


def n_sent(pipeline: Pipeline) -> int:
    return len(pipeline.read_topic("labels_topic"))


def test_a_flagged_transaction_is_labelled_by_its_id(
    pipeline: Pipeline, flagged: list[str], run: Run
) -> None:
    result = run("label", *flagged[:2], "--genuine", "--known-at", "2025-03-01")

    assert result.exit_code == 0, result.output
    assert "0 fraud, 2 genuine; of these 2 were found in the tables." in result.stdout
    pipeline.score_all()
    labels = stored(pipeline)
    assert labels.keys() == set(flagged[:2])
    for is_fraud, known_at, source, *_, agrees in labels.values():
        assert (is_fraud, known_at, source, agrees) == (False, "2025-03-01", "review", True)


def test_a_file_is_loaded_and_its_labels_are_stored_once_however_often_it_is_loaded(
    pipeline: Pipeline, flagged: list[str], run: Run, tmp_path: Path
) -> None:
    clean = msgspec.json.decode(
        next(line for line in transactions_of(LOG) if line.split(b'"')[3].decode() not in flagged)
    )
    file = tmp_path / "chargebacks.csv"
    file.write_text(
        "transaction_id,is_fraud,timestamp,user_id,terminal_id,known_at,amount\n"
        f"{flagged[2]},1,,,,2025-03-02,12.50\n"
        f"{flagged[3]},,,,,,\n"
        f"{clean['transaction_id']},,{clean['timestamp']},{clean['user_id']},"
        f"{clean['terminal_id']},,\n"
    )

    for _ in range(2):
        result = run("load-labels", file, "--fraud", "--known-at", "2025-03-20")
        assert result.exit_code == 0, result.output
        assert "3 fraud, 0 genuine; of these" in result.stdout
    pipeline.score_all()

    labels = stored(pipeline)
    assert len(labels) == 5
    assert labels[flagged[2]][:3] == [True, "2025-03-02", "chargeback"]
    assert labels[flagged[3]][:3] == [True, "2025-03-20", "chargeback"]
    assert labels[flagged[3]][-1] is True
    assert labels[clean["transaction_id"]][3:5] == [clean["user_id"], clean["terminal_id"]]
    assert pipeline.counts("labels_topic").n_duplicate == 3


def test_one_that_nobody_knows_keeps_all_from_being_sent(
    pipeline: Pipeline, flagged: list[str], run: Run, tmp_path: Path
) -> None:
    before = n_sent(pipeline)
    file = tmp_path / "chargebacks.csv"
    file.write_text(f"transaction_id\n{flagged[4]}\nunheard-of\n")

    result = run("load-labels", file, "--fraud")

    assert result.exit_code == 2
    assert "error: 1 cannot be labelled; nothing was sent" in result.stderr
    assert "line 3: no table has transaction unheard-of" in result.stderr
    assert run("label", flagged[4], "unheard-of", "--fraud").exit_code == 2
    assert n_sent(pipeline) == before

    result = run("load-labels", file, "--fraud", "--skip-unknown", "--known-at", "2025-03-20")

    assert result.exit_code == 1
    assert "left out: line 3: no table has transaction unheard-of" in result.stderr
    assert n_sent(pipeline) == before + 1


def test_a_dry_run_sends_nothing(pipeline: Pipeline, flagged: list[str], run: Run) -> None:
    before = n_sent(pipeline)

    result = run("label", flagged[5], "--fraud", "--dry-run")

    assert result.exit_code == 0
    assert "Nothing was sent." in result.stdout
    assert n_sent(pipeline) == before


@pytest.mark.parametrize(
    ("content", "arguments", "exit_code", "says"),
    [
        ("transaction_id\nt1\n", (), 2, "line 2: no table has transaction t1"),
        ("id,is_fraud\nt1,1\n", (), 4, "line 2: Object missing required field `transaction_id`"),
        ("transaction_id,timestamp\nt1,2025-01-01\n", (), 2, "line 2: no table has transaction t1"),
        (
            "transaction_id,timestamp,terminal_id\nt1,2025-01-01,m1\n",
            (),
            2,
            "line 2: is_fraud is missing",
        ),
        (
            "transaction_id,timestamp,terminal_id,is_fraud\nt1,2025-01-01,m1,1\nt1,2025-01-01,m1,0\n",
            ("--known-at", "2025-01-02"),
            2,
            "line 3: says genuine of t1, and line 2 fraud",
        ),
        ("transaction_id\nt1\n", ("--known-at", "soon"), 3, "--known-at 'soon' is no time"),
        ("", (), 4, "is empty"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    content: str, arguments: tuple[str, ...], exit_code: int, says: str, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(content)

    result = run("load-labels", file, *arguments)

    assert result.exit_code == exit_code
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_what_is_given_for_one_transaction_is_not_for_two(run: Run) -> None:
    result = run("label", "t1", "t2", "--fraud", "--terminal-id", "m1")

    assert result.exit_code == 2
    assert "for one ID alone" in result.stderr


def test_what_became_known_has_to_be_said(run: Run) -> None:
    result = run("label", "t1")

    assert result.exit_code == 2
    assert "say what became known: --fraud or --genuine" in result.stderr
