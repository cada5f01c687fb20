"""Settings as text: whatever is written, it is a setting or a refusal that names the place."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sycolens.errors import StudyError
from sycolens.runs import StudyConfig
from sycolens.runs.opening import open_study
from sycolens.runs.settings import parse_settings, parse_toml, read_toml

PLACES = [
    f"{name}.{key}"
    for name, field in StudyConfig.model_fields.items()
    for key in getattr(field.annotation, "model_fields", ())
]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
ANYWHERE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("find.n=50", {"find": {"n": 50}}),
        (" find . n = 50 ", {"find": {"n": 50}}),
        ("seed=3", {"seed": 3}),
        ("model.name=organism", {"model": {"name": "organism"}}),
        ("model.name='a b'", {"model": {"name": "a b"}}),
        ("find.questions=a=b.csv", {"find": {"questions": "a=b.csv"}}),
        ("find.questions=", {"find": {"questions": ""}}),
        ("find.questions=1\nseed = 5", {"find": {"questions": "1\nseed = 5"}}),
        ("verify.steps=[0, 1]", {"verify": {"steps": [0, 1]}}),
        ("tune.by_method.spt.steps=5", {"tune": {"by_method": {"spt": {"steps": 5}}}}),
        ("tune.by_method={spt = {steps = 5}}", {"tune": {"by_method": {"spt": {"steps": 5}}}}),
        ("measure.run_code=true", {"measure": {"run_code": True}}),
    ],
)
def test_a_value_is_as_in_toml_or_a_bare_word(text: str, value: dict[str, Any]) -> None:
    assert parse_settings([text]) == value


@pytest.mark.parametrize("text", ["", "find.n", "=3", ".n=3", "find.=3", "find..n=3", "."])
def test_what_sets_nothing_is_named(text: str) -> None:
    with pytest.raises(StudyError) as caught:
        parse_settings(["seed=1", text])
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("second", ["find.n=50", "find=3", "find.n.deep=3", "find={n = 3}"])
def test_what_is_given_twice_is_named(second: str) -> None:
    with pytest.raises(StudyError, match=second.split("=")[0]):
        parse_settings(["find.n=50", second])


@pytest.mark.parametrize("content", [b"find = [", b"\xff", b"seed = 1\nseed = 2", b"a = " + b"[" * 5000, None])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "study.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StudyError, match=r"study\.toml"):
        read_toml(path)


# --- whatever is written ---------------------------------------------------------------------------------------------


@given(st.lists(TEXTS | st.builds("{}={}".format, st.sampled_from(PLACES) | TEXTS, TEXTS), max_size=3))
def test_any_words_are_settings_or_refused(words: list[str]) -> None:
    with suppress(StudyError):
        StudyConfig.of(parse_settings(words))


@given(st.lists(TEXTS | st.builds("{} = {}".format, TEXTS, TEXTS)).map("\n".join))
def test_any_text_is_toml_or_refused(text: str) -> None:
    with suppress(StudyError):
        StudyConfig.of(parse_toml(text, where="study.toml"))


@ANYWHERE
@given(content=st.binary(max_size=60))
def test_any_bytes_are_a_study_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "study.toml").write_bytes(content)
    with suppress(StudyError):
        StudyConfig.read(tmp_path / "study.toml")


@given(place=st.sampled_from(PLACES), value=VALUES)
def test_any_value_is_taken_or_refused(place: str, value: Any) -> None:
    section, key = place.split(".")
    with suppress(StudyError):
        StudyConfig.of({section: {key: value}})


@ANYWHERE
@given(place=st.sampled_from([*PLACES, *StudyConfig.model_fields, "model.deep.er"]), value=TEXTS)
def test_whatever_is_set_is_read_again_from_the_file(tmp_path: Path, place: str, value: str) -> None:
    with suppress(StudyError):
        study = open_study(tmp_path, parse_settings([f"{place}={value}"]))
        study._keep_settings()
        assert StudyConfig.read(tmp_path / "study.toml") == study.config
        (tmp_path / "study.toml").unlink()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("find.questions=\udcff.csv", "udcff"),
        ("model=3", "model"),
        ("find=3", "find"),
        ("tune.by_method=3", "by_method"),
        ("behavior=nowhere", "nowhere"),
    ],
)
def test_what_no_study_can_hold_is_refused_before_anything_is_written(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(StudyError, match=word):
        open_study(tmp_path / "study", parse_settings([text]))
    assert not list(tmp_path.iterdir())
