"""The outputs in docs/sql.md are those of its queries, on the demo log."""

from collections.abc import Callable

import psycopg
from typer.testing import CliRunner

from flagpost.cli import app
from tests.end_to_end.pipeline import LOG, ROOT, Pipeline
from tests.end_to_end.sql_page import PAGE, with_outputs_of


def test_the_documented_outputs_are_current(new_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = new_pipeline(keep_scores="all")
    database_url = str(pipeline.settings["database_url"])
    pipeline.produce(LOG)
    pipeline.score_all()
    loaded = CliRunner(env={"FLAGPOST_DATABASE_URL": database_url}).invoke(
        app, ["load-marketing", str(ROOT / "examples" / "marketing.csv")]
    )
    assert loaded.exit_code == 0, loaded.output
    page = PAGE.read_text()

    with psycopg.connect(database_url) as connection:
        connection.execute("SET timezone = 'UTC'")
        renewed = with_outputs_of(connection, page)

    assert page.count("```sql") == page.count("```text") > 10
    assert renewed == page
