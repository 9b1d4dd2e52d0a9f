"""What is wrong before the first message is one line and an exit code."""

from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy.engine import URL, make_url
from typer.testing import CliRunner

from consumer_transform import main
from flagpost.errors import (
    BadConfiguration,
    FlagpostError,
    ModelRefused,
    SchemaOutdated,
    Unavailable,
)

SECRET = "not-the-password"  # noqa: S105 - the wrong one

WRONG: dict[str, tuple[dict[str, str], type[FlagpostError], str]] = {
    "no brokers": ({"KAFKA_BOOTSTRAP": ""}, BadConfiguration, "FLAGPOST_KAFKA_BOOTSTRAP"),
    "no database": ({"DATABASE_URL": ""}, BadConfiguration, "FLAGPOST_DATABASE_URL"),
    "no model": ({"MODEL": "none.joblib"}, ModelRefused, "none.joblib"),
    "no mapping": ({"MAPPING": "none.toml"}, BadConfiguration, "none.toml"),
    "an impossible number": ({"MAX_DEAD_SHARE": "2"}, BadConfiguration, "FLAGPOST_MAX_DEAD_SHARE"),
}
WRONG_URL: dict[str, tuple[dict[str, Any], type[FlagpostError], str]] = {
    "wrong password": ({"password": SECRET}, BadConfiguration, "FLAGPOST_DATABASE_URL"),
    "no tables": ({"database": "postgres"}, SchemaOutdated, "flagpost migrate"),
    "nobody there": ({"port": 1}, Unavailable, "PostgreSQL is unavailable"),
}


@pytest.fixture
def environment(
    kafka_bootstrap: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    return {"FLAGPOST_KAFKA_BOOTSTRAP": kafka_bootstrap, "FLAGPOST_DATABASE_URL": database_url}


def check_refusal(environment: dict[str, str], error: type[FlagpostError], named: str) -> None:
    app = typer.Typer()
    app.command()(main)
    ended = CliRunner().invoke(app, ["--until-caught-up"], env=environment)
    assert (ended.exit_code, ended.stdout) == (error.exit_code, "")
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    assert named in ended.stderr
    password = make_url(environment["FLAGPOST_DATABASE_URL"] or "postgresql://:?@/").password
    assert str(password) not in ended.stderr


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_setting_is_named(wrong: str, environment: dict[str, str]) -> None:
    changed, error, named = WRONG[wrong]
    variables = {f"FLAGPOST_{name}": value for name, value in changed.items()}

    check_refusal(environment | variables, error, named)


@pytest.mark.parametrize("wrong", WRONG_URL)
def test_a_wrong_database_is_named_without_its_password(
    wrong: str, environment: dict[str, str]
) -> None:
    changed, error, named = WRONG_URL[wrong]
    url: URL = make_url(environment["FLAGPOST_DATABASE_URL"]).set(**changed)

    check_refusal(
        environment | {"FLAGPOST_DATABASE_URL": url.render_as_string(hide_password=False)},
        error,
        named,
    )
