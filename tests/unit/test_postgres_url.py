import pytest

from flagpost.errors import BadConfiguration
from flagpost.postgres.engine import create_engine


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "is not set"),
        ("flagpost", "cannot be read"),
        ("postgresql://me:se/cret@host:secret/flagpost", "cannot be read"),
        ("mysql://me:secret@host/flagpost", "names mysql"),
        ("postgresql+asyncpg://me:secret@host/flagpost", r"names postgresql\+asyncpg"),
        ("postgresql://me:top@secret@host/flagpost", "%40"),
    ],
)
def test_a_url_that_cannot_work_is_refused_without_repeating_it(url: str, problem: str) -> None:
    with pytest.raises(BadConfiguration, match=problem) as refused:
        create_engine(url)

    assert "secret" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_the_plain_scheme_uses_psycopg_3() -> None:
    assert create_engine("postgresql://me:secret@host/flagpost").driver == "psycopg"


def test_the_older_driver_can_be_asked_for() -> None:
    assert create_engine("postgresql+psycopg2://me:secret@host/flagpost").driver == "psycopg2"
