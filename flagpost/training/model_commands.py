"""`fraud_model.py`: train a model, evaluate it on a log, compute features, explain a score."""

import time
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flagpost.clock import latest_event_time_us
from flagpost.core.decision import decide
from flagpost.entry_point import entry_point, program
from flagpost.errors import BadConfiguration
from flagpost.events import TransactionDecoder, load_mapping
from flagpost.model import FraudModel
from flagpost.model_manifest import read_verified, write_model
from flagpost.model_signature import ModelKey, model_key
from flagpost.progress import progress_bar
from flagpost.settings import Settings, load_settings
from flagpost.training.compare_command import compare
from flagpost.training.labels import find_frauds
from flagpost.training.metrics import flagging_metrics, ranking_metrics
from flagpost.training.offline import DecodedLog, decode_log, observe_log
from flagpost.training.report import calibration_table, check_out, numbers_table, terms_table
from flagpost.training.train import Budget, Plan
from flagpost.training.train import train as train_model

Log = Annotated[Path, typer.Argument(help="A log: .json, .jsonl, .csv or .parquet.")]
ModelOption = Annotated[
    Path | None, typer.Option("--model", help="The model; by default FLAGPOST_MODEL.")
]

app = program("The fraud model: train, compare, evaluate, explain, features.")
app.command()(entry_point(compare))
console = Console()


@app.command()
@entry_point
def train(
    log: Log,
    out: Annotated[Path, typer.Option(help="Where to write the model (.joblib).")],
    *,
    warm_up_days: Annotated[int, typer.Option(help="Days that only fill the histories.")] = 37,
    test_days: Annotated[int, typer.Option(help="Last days, kept out of the fit.")] = 14,
    fit_from: Annotated[
        str | None,
        typer.Option("--from", help="First day of the fit; the default follows the warm-up."),
    ] = None,
    fit_to: Annotated[
        str | None,
        typer.Option("--to", help="Last day of the fit; the default is a week before the test."),
    ] = None,
    flags_per_thousand: Annotated[
        float, typer.Option(min=0, max=1_000, help="Flag at most this many of 1,000.")
    ] = 8.0,
    alerts_per_day: Annotated[
        float | None, typer.Option(min=0, help="Flag at most this many a day instead.")
    ] = None,
    review_cost: Annotated[
        float | None,
        typer.Option(min=0, help="Cost of one review: flag what makes reviews and losses least."),
    ] = None,
) -> None:
    """Train on a log with labels, and write the model and its manifest.

    Example: python fraud_model.py train year.jsonl --out mine.joblib --alerts-per-day 50
    """
    check_out(out, ".joblib")
    plan = Plan(
        warm_up_days,
        test_days=test_days,
        fit_from=_parse_day("--from", fit_from),
        fit_to=_parse_day("--to", fit_to),
    )
    budget = Budget(flags_per_thousand, alerts_per_day, review_cost)
    settings = load_settings()
    key = model_key(settings.model_key)
    model = train_model(_decode(log, settings), plan, budget, log.name)
    model.save(out, key)
    console.print(
        numbers_table(f"model {model.version}", {"threshold": model.threshold, **model.metrics})
    )
    console.print(calibration_table(model.calibration))


def _parse_day(option: str, text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise BadConfiguration(f"{option} must be a day YYYY-MM-DD, not {text!r}") from error


@app.command()
@entry_point
def evaluate(
    log: Log,
    out: Annotated[
        Path | None, typer.Option(help="Write features, score and flag of each row (.parquet).")
    ] = None,
    model_path: ModelOption = None,
) -> None:
    """Score a log offline, exactly as the stream scores it, and compare with its labels.

    Example: python fraud_model.py evaluate logFraud.json --out scores.parquet
    """
    if out:
        check_out(out, ".parquet")
    settings = load_settings()
    model = FraudModel.load(model_path or settings.model, model_key(settings.model_key))
    decoded = _decode(log, settings)
    started = time.perf_counter()
    rows = observe_log(decoded, model.population_mean_cents)
    decisions = decide(
        model.scorer.fraud_probabilities(rows.matrix), model.threshold,
        rows.amount_cents, rows.account_balance_cents,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    is_fraud = find_frauds(decoded.labels, rows.transaction_id)
    numbers: dict[str, float] = {
        "transactions": len(rows.transaction_id),
        "duplicates": rows.n_duplicate,
        "bad lines": len(decoded.bad_lines),
        "known frauds": int(is_fraud.sum()),
        "flagged": int(decisions.is_flagged.sum()),
        **flagging_metrics(is_fraud, decisions.is_flagged),
        "seconds for features and scores": round(seconds, 3),
    }
    if is_fraud.any():
        numbers |= ranking_metrics(is_fraud, decisions.fraud_probability)
    console.print(numbers_table(f"{log.name} scored by model {model.version}", numbers))
    if out:
        frame = rows.frame()
        frame["fraud_probability"] = decisions.fraud_probability
        frame["is_flagged"] = decisions.is_flagged
        frame.to_parquet(out, index=False)


@app.command()
@entry_point
def features(
    log: Log,
    out: Annotated[Path, typer.Option(help="The table to write (.parquet).")],
    model_path: ModelOption = None,
) -> None:
    """Compute every feature of every transaction of a log, in file order.

    Example: python fraud_model.py features logFraud.json --out features.parquet
    """
    check_out(out, ".parquet")
    settings = load_settings()
    model = FraudModel.load(model_path or settings.model, model_key(settings.model_key))
    rows = observe_log(_decode(log, settings), model.population_mean_cents)
    rows.frame().to_parquet(out, index=False)


@app.command("explain")
@entry_point
def explain_one(
    transaction_id: Annotated[str, typer.Argument(help="A transaction of the log.")],
    log: Annotated[Path, typer.Option(help="The log it is in.")] = Path("logFraud.json"),
    model_path: ModelOption = None,
) -> None:
    """Show what each feature adds to a transaction's log-odds of fraud.

    Example: python fraud_model.py explain TX0002426
    """
    settings = load_settings()
    model = FraudModel.load(model_path or settings.model, model_key(settings.model_key))
    rows = observe_log(_decode(log, settings), model.population_mean_cents)
    if transaction_id not in rows.transaction_id:
        raise BadConfiguration(f"{log} holds no transaction {transaction_id!r}")
    row = rows.transaction_id.index(transaction_id)
    console.print(terms_table(model, f"{transaction_id} in {log.name}", rows.matrix[[row]]))


@app.command()
@entry_point
def sign(
    model_path: Annotated[Path, typer.Argument(metavar="MODEL", help="A model that you trust.")],
) -> None:
    """Sign a model with FLAGPOST_MODEL_KEY, so that workers with this key take it.

    Where that key is set, `train` signs by itself, and no other model is loaded.

    Example: python fraud_model.py sign models/pretrained.joblib
    """
    key = ModelKey(load_settings().model_key)
    manifest, content = read_verified(model_path)
    write_model(model_path, content, key.sign(manifest))
    console.print(f"signed model {manifest.version}")


def _decode(log: Path, settings: Settings) -> DecodedLog:
    decoder = TransactionDecoder(load_mapping(settings.mapping))
    with progress_bar(f"Reading {log.name}") as on_progress:
        return decode_log(log, decoder, latest_event_time_us(settings.max_future_days), on_progress)
