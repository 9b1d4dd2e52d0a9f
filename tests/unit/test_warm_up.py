"""What a worker says before its first message."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from flagpost.saved_model import load_saved_model
from flagpost.settings import PRETRAINED_MODEL
from flagpost.warm_up import load_kernels


def test_a_first_start_says_that_it_compiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = load_saved_model(PRETRAINED_MODEL).scoring_rules()
    load_kernels(rules)

    with capture_logs() as later:
        load_kernels(rules)
    monkeypatch.setattr("flagpost.compiled._cache_directory", lambda: str(tmp_path))
    with capture_logs() as first:
        load_kernels(rules)

    assert [entry["event"] for entry in first] == ["compiling, once for these sources"]
    assert later == []
