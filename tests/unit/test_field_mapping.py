from pathlib import Path

import pytest

from flagpost.errors import BadConfiguration
from flagpost.field_mapping import FieldMapping, load_mapping

EXAMPLE = Path(__file__).parents[2] / "examples" / "mapping.toml"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mapping.toml"


def test_a_mapping_file_is_read(path: Path) -> None:
    path.write_text('[fields]\nuser_id = "devideId"\n[constants]\nterminal_id = "app"\n')
    assert load_mapping(path) == FieldMapping({"user_id": "devideId"}, {"terminal_id": "app"})


def test_an_empty_file_maps_nothing(path: Path) -> None:
    path.write_text("")
    assert load_mapping(path) == FieldMapping()


def test_two_fields_may_change_places(path: Path) -> None:
    path.write_text('[fields]\nuser_id = "terminal_id"\nterminal_id = "user_id"\n')
    assert load_mapping(path).source_name("user_id") == "terminal_id"


def test_the_example_is_a_mapping() -> None:
    assert load_mapping(EXAMPLE).source_names["user_id"] == "devideId"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[fields", "not TOML"),
        ('[fields]\nuserid = "x"', "userid is no field of a mapping; did you mean user_id?"),
        ('[fields]\nzzz = "x"', "zzz is no field of a mapping; use one of transaction_id, "),
        ('[feilds]\nuser_id = "x"', "feilds is no table of a mapping; did you mean fields?"),
        ("fields = 1", "fields must be a table"),
        ("[fields]\nuser_id = 1", r"\[fields\] user_id must be a text"),
        ('[fields]\nuser_id = ""', r"\[fields\] user_id must be a text"),
        ('[constants]\nuser_id = "a\\u0000"', r"\[constants\] user_id must be a text"),
        ('[constants]\namount = "1"', r"amount cannot be the same in every message"),
        ('[constants]\nterminal = "a"', "did you mean terminal_id?"),
        ('[fields]\nuser_id = "x"\n[constants]\nuser_id = "y"', "keep one of them"),
        ('[fields]\nuser_id = "amount"', 'user_id and amount are both read from "amount"'),
    ],
)
def test_a_wrong_mapping_is_refused_with_the_fix(path: Path, text: str, complaint: str) -> None:
    path.write_text(text)
    with pytest.raises(BadConfiguration, match=complaint) as caught:
        load_mapping(path)
    assert str(path) in str(caught.value)


def test_a_missing_or_binary_file_is_refused(path: Path) -> None:
    with pytest.raises(BadConfiguration, match="cannot be read: No such file"):
        load_mapping(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadConfiguration, match="not TOML in UTF-8"):
        load_mapping(path)
