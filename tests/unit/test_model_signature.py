"""A worker with a key loads what was signed with it, and nothing else."""

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from flagpost.errors import BadConfiguration, ModelRefused
from flagpost.model_manifest import Manifest, manifest_path, version_of
from flagpost.model_signature import ModelKey, model_key
from flagpost.saved_model import load_saved_model
from flagpost.settings import PRETRAINED_MODEL
from flagpost.training.model_commands import app

SECRET = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of the tests
KEY = ModelKey(SecretStr(SECRET))


@pytest.fixture
def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped model, signed by the command."""
    path = tmp_path / "mine.joblib"
    shutil.copy(PRETRAINED_MODEL, path)
    shutil.copy(manifest_path(PRETRAINED_MODEL), manifest_path(path))
    monkeypatch.setenv("FLAGPOST_MODEL_KEY", SECRET)
    done = CliRunner().invoke(app, ["sign", str(path)])
    assert done.exit_code == 0, done.output
    return path


def change(path: Path, **fields: object) -> None:
    manifest = manifest_path(path)
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | fields))


def test_a_signed_model_is_loaded_with_its_key_and_without_any(signed: Path) -> None:
    assert load_saved_model(signed, KEY).manifest == load_saved_model(signed).manifest


def test_signing_changes_nothing_that_decides(signed: Path) -> None:
    rules = load_saved_model(signed).scoring_rules()

    assert rules.model_version == load_saved_model(PRETRAINED_MODEL).manifest.version


def test_a_model_without_signature_is_refused_where_a_key_is_set() -> None:
    with pytest.raises(ModelRefused, match="not signed, and FLAGPOST_MODEL_KEY is set"):
        load_saved_model(PRETRAINED_MODEL, KEY)


def test_the_signature_of_another_key_is_refused(signed: Path) -> None:
    with pytest.raises(ModelRefused, match="signature is not by FLAGPOST_MODEL_KEY"):
        load_saved_model(signed, ModelKey(SecretStr(SECRET[::-1])))


@pytest.mark.parametrize(
    "changed",
    [{"metrics": {"recall": 1.0}}, {"training": None}, {"signature": "00"}, {"signature": "é"}],
)
def test_no_word_of_a_signed_manifest_may_change(signed: Path, changed: dict[str, object]) -> None:
    change(signed, **changed)

    with pytest.raises(ModelRefused, match="signature is not by FLAGPOST_MODEL_KEY"):
        load_saved_model(signed, KEY)


def test_a_forged_file_with_a_fitting_manifest_is_not_unpickled(signed: Path) -> None:
    signed.write_bytes(pickle.dumps(Explosive()))
    forge_hash(signed)

    with pytest.raises(ModelRefused):
        load_saved_model(signed, KEY)


@pytest.mark.parametrize(
    "content", [b"", b"no pickle", b"cflagpost\nMissing\n.", b"cflagpost.missing\nX\n."]
)
def test_what_cannot_be_unpickled_is_no_model(signed: Path, content: bytes) -> None:
    signed.write_bytes(content)
    forge_hash(signed)

    with pytest.raises(ModelRefused, match="is not a model file"):
        load_saved_model(signed)


@pytest.mark.parametrize("short", ["x", "x" * 31])
def test_a_key_that_can_be_guessed_is_refused_without_repeating_it(short: str) -> None:
    with pytest.raises(BadConfiguration, match="FLAGPOST_MODEL_KEY needs at least 32") as refused:
        model_key(SecretStr(short))

    assert short not in str(refused.value).replace("openssl rand -hex", "")


def test_without_a_key_no_signature_is_asked_for() -> None:
    assert model_key(SecretStr("")) is None


class Explosive:
    """Unpickling it fails the test."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("it was unpickled",)


def forge_hash(path: Path) -> None:
    """Make hash and version fit the file, as anybody can who may write the manifest."""
    manifest = msgspec.json.decode(manifest_path(path).read_bytes(), type=Manifest)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = msgspec.structs.replace(manifest, sha256=digest)
    change(path, sha256=digest, version=version_of(manifest))
