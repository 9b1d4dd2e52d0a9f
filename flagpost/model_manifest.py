"""The manifest beside a model file: what it is, and what it takes to load it safely."""

import hashlib
import math
from importlib.metadata import version
from pathlib import Path

import msgspec

from flagpost.core.features import FEATURE_NAMES
from flagpost.core.spread import FRAUD_PROBABILITY, TrainedSpread
from flagpost.errors import BadConfiguration, ModelRefused

FORMAT = 3
LIBRARIES = ("scikit-learn", "numpy", "joblib")


class Training(msgspec.Struct, frozen=True):
    """What a model was fitted on."""

    log: str
    first_event: str
    last_event: str
    n_transactions: int
    n_frauds: int


class Manifest(msgspec.Struct, frozen=True):
    """Written as JSON beside the joblib file whose SHA-256 it names."""

    format: int
    version: str
    sha256: str
    libraries: dict[str, str]
    feature_names: list[str]
    matrix_columns: list[str]
    population_mean_cents: float
    threshold: float
    training: Training | None = None
    metrics: dict[str, float] = {}
    calibration: list[dict[str, float]] = []
    spread: list[TrainedSpread] = []
    signature: str | msgspec.UnsetType = msgspec.UNSET


def manifest_path(model_path: Path) -> Path:
    """Return where the manifest of a model file lies."""
    return model_path.with_suffix(".manifest.json")


def version_of(manifest: Manifest) -> str:
    """Return 12 hex digits that change with anything that changes a decision or a count."""
    decides = (
        manifest.sha256,
        manifest.feature_names,
        manifest.matrix_columns,
        manifest.population_mean_cents,
        manifest.threshold,
        manifest.spread,
    )
    return hashlib.sha256(msgspec.json.encode(decides)).hexdigest()[:12]


def write_model(path: Path, content: bytes, manifest: Manifest) -> None:
    """Write a model file and its manifest.

    Raises:
        BadConfiguration: they cannot be written there.
    """
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    try:
        path.write_bytes(content)
        manifest_path(path).write_bytes(text + b"\n")
    except OSError as error:
        raise BadConfiguration(f"cannot write {error.filename}: {error.strerror}") from error


def installed_libraries() -> dict[str, str]:
    """Return the versions that decide whether a pickled pipeline can be read back."""
    return {name: version(name) for name in LIBRARIES}


def read_verified(model_path: Path) -> tuple[Manifest, bytes]:
    """Read a model's manifest and bytes; nothing is unpickled here.

    Raises:
        ModelRefused: a file is missing or broken, the hash differs, the columns of the feature
            matrix have changed, or another minor version of scikit-learn made the file.
    """
    path = manifest_path(model_path)
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        content = model_path.read_bytes()
    except OSError as error:
        msg = (
            f"cannot read model {model_path}: {error.filename}: {error.strerror}; a model is two "
            f"files, {model_path.name} and {path.name}"
        )
        raise ModelRefused(msg) from error
    except msgspec.DecodeError as error:  # a field of another type, too
        msg = f"{path} is not a model manifest: {error}"
        raise ModelRefused(msg) from error
    _check(manifest, content, model_path)
    return manifest, content


def _check(manifest: Manifest, content: bytes, model_path: Path) -> None:
    if manifest.format != FORMAT:
        msg = (
            f"{model_path} has format {manifest.format}; this program reads format {FORMAT}: "
            "retrain the model"
        )
        raise ModelRefused(msg)
    if hashlib.sha256(content).hexdigest() != manifest.sha256:
        msg = f"{model_path} is not the file its manifest names: the SHA-256 differs"
        raise ModelRefused(msg)
    if manifest.matrix_columns != list(FEATURE_NAMES):
        msg = f"{model_path} was trained on other features than this program computes: retrain it"
        raise ModelRefused(msg)
    if manifest.version != version_of(manifest):
        msg = f"{model_path}: its manifest was altered: version {manifest.version} does not fit it"
        raise ModelRefused(msg)
    if not 0 <= manifest.threshold <= 1 or not 0 <= manifest.population_mean_cents < math.inf:
        msg = f"{model_path}: the threshold or the mean amount in its manifest is out of range"
        raise ModelRefused(msg)
    counted = [each.feature for each in manifest.spread if each.is_sound]
    if counted != [*manifest.feature_names, FRAUD_PROBABILITY]:
        msg = f"{model_path}: its manifest does not say how each feature spread: retrain the model"
        raise ModelRefused(msg)
    theirs, ours = manifest.libraries.get("scikit-learn", "unknown"), version("scikit-learn")
    if theirs.split(".")[:2] != ours.split(".")[:2]:
        msg = (
            f"{model_path} was made with scikit-learn {theirs}, here is {ours}: "
            f"install {theirs} or retrain the model"
        )
        raise ModelRefused(msg)
