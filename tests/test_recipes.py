"""Named recipes, their files, and what a file may not say."""

import json
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fursure.bundle.named import shipped
from fursure.errors import BadRecipe, UnknownRecipe
from fursure.ranges import Choice, Knob, Number, Several, Switch, Text, Whole
from fursure.recipe import FineTune, LogisticRegression, Mlp, Recipe, Stage
from fursure.recipes.catalogue import ENTRIES, LINEAR_PROBE, RECIPES, find
from fursure.recipes.knobs import KNOBS, PARTS
from fursure.recipes.parse import from_json, overlaid
from fursure.recipes.toml import LARGEST, from_toml, open_recipe, to_toml


def values(knob: Knob) -> st.SearchStrategy[Any]:
    """Return every value that ``knob`` takes, typed as a recipe keeps it."""
    match knob:
        case Switch():
            return st.booleans()
        case Choice(words):
            return st.sampled_from(words)
        case Whole(low, high):
            return st.integers(low, high)
        case Number(low, high, ends):
            return st.floats(low, high, exclude_min=ends == "low", exclude_max=ends == "high")
        case Text():
            letters = "az09 µ猫🐱\"'\\#=[]{}" + "\n" * knob.lines
            return st.text(letters, min_size=knob.shortest, max_size=20)
        case Several(each, longest, alone):
            several = st.lists(values(each), min_size=1, max_size=min(longest, 5)).map(tuple)
            return several | values(each) if alone else several


def parts(cls: type, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return every value of ``cls``, knobs that may be unset unset at times."""
    chosen = {key: values(knob) for key, knob in KNOBS[cls].items()} | more
    for one in fields(cls):
        if one.default is None:
            chosen[one.name] = st.none() | chosen[one.name]
    return st.builds(cls, **chosen)


STRENGTHS = st.sets(st.floats(1e-9, 1e6), min_size=1, max_size=5).map(
    lambda found: tuple(sorted(found, reverse=True))
)
RECIPES_OF_ANY_KIND = parts(
    Recipe,
    head=parts(LogisticRegression, strengths=STRENGTHS) | parts(Mlp),
    tune=parts(FineTune, stages=st.lists(parts(Stage), min_size=1, max_size=3).map(tuple)),
    validation=st.floats(0.01, 0.4),
)


@settings(max_examples=40)
@given(recipe=RECIPES_OF_ANY_KIND)
def test_any_recipe_comes_back_from_its_file_and_from_json(recipe: Recipe) -> None:
    text = to_toml(recipe)
    assert text.isascii()
    assert from_toml(text, "mine.toml") == recipe
    assert from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_recipe_can_be_found_written_and_explained(name: str) -> None:
    entry = ENTRIES[name]
    assert find(name) == entry.recipe == from_toml(to_toml(entry.recipe), "any.toml")
    assert entry.recipe.name == name
    assert entry.about.partition("\n")[0].endswith(".")
    assert "fursure train PHOTOS" in entry.about
    assert "Source: " in entry.about
    assert entry.about.isascii()


def test_the_default_is_the_linear_probe() -> None:
    assert find("linear-probe") == LINEAR_PROBE == Recipe()


@pytest.mark.parametrize("cls", KNOBS)
def test_every_knob_says_what_it_may_be(cls: Any) -> None:
    knobs = KNOBS[cls]
    assert knobs.keys() == {one.name for one in fields(cls)} - PARTS
    assert all(str(knob) for knob in knobs.values())


def test_every_default_lies_in_its_range() -> None:
    for recipe in (Recipe(), Recipe(head=Mlp(), tune=FineTune())):
        assert from_toml(to_toml(recipe), "x.toml") == recipe


def test_an_unknown_name_brings_the_nearest_and_the_list() -> None:
    with pytest.raises(UnknownRecipe, match=r"'fine-tun'. Did you mean 'fine-tune'\? There are "):
        find("fine-tun")
    with pytest.raises(UnknownRecipe, match=r"'zzz'. There are best, choose-backbone, "):
        find("zzz")


def test_a_file_states_only_what_differs_from_its_base() -> None:
    text = """
        base = "vgg16-small"
        seed = 7
        [head]
        dropout = 0.25
        [tune]
        mixup = 1
    """
    base = find("vgg16-small")
    assert base.tune is not None
    assert isinstance(base.head, Mlp)
    assert from_toml(text, "folder/mine.toml") == replace(
        base,
        name="mine",
        seed=7,
        head=replace(base.head, dropout=0.25),
        tune=replace(base.tune, mixup=1.0),
    )


def test_a_head_of_another_kind_begins_with_its_own_defaults() -> None:
    assert from_toml('[head]\nkind = "mlp"\nhidden = [64, 32]', "m.toml").head == Mlp(
        hidden=(64, 32)
    )
    probe = from_toml('base = "mlp-probe"\n[head]\nkind = "logistic-regression"', "m.toml")
    assert probe.head == LogisticRegression()


def test_an_empty_table_turns_tuning_on_and_stages_are_replaced_whole() -> None:
    assert from_toml("[tune]", "m.toml").tune == FineTune()
    text = 'base = "vgg16-small"\n[[tune.stages]]\npart = "last-block"'
    tune = from_toml(text, "m.toml").tune
    assert tune is not None
    assert tune.stages == (Stage(part="last-block"),)


def test_knobs_that_are_not_set_are_lines_to_uncomment() -> None:
    text = to_toml(find("fine-tune"))
    assert "image_size" not in tomllib.loads(text)
    changed = text.replace("# image_size = ...", "image_size = 192").replace(
        "# minutes = ...", "minutes = 5"
    )
    recipe = from_toml(changed, "m.toml")
    assert recipe.image_size == 192
    assert recipe.tune is not None
    assert recipe.tune.minutes == 5.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sed = 3", "'sed' is no knob; the nearest is seed."),
        ("[tune]\nstags = 3", "'tune.stags' is no knob; the nearest is tune.stages."),
        ("zzz = 3", "'zzz' is no knob; there are name, backbone, features_output, head, tune, "),
        ("layer_decay = 0.5", "'layer_decay' is no knob; it belongs in [tune]."),
        (
            "[head]\nhidden = [3]",
            "'head.hidden' is no knob; it belongs in [head] of kind mlp.",
        ),
        ("seed = 1.5", "seed is 1.5 and has to be a whole number from 0 to 4294967295."),
        ("seed = true", "seed is True and has to be a whole number"),
        ("flips = 1", "flips is 1 and has to be true or false."),
        ("photos = 0", "photos is 0 and has to be a whole number from 2 "),
        (f"photos = 0x{'f' * 5000}", "photos is a number of more than 18 digits and has to be"),
        ("test = 0.9", "test is 0.9 and has to be a number from 0.01 to 0.5."),
        ("test = nan", "test is nan and has to be"),
        ("test = 1979-05-27", "test is datetime.date(1979, 5, 27) and has to be"),
        ("[tune]\nminutes = inf", "tune.minutes is inf and has to be a number above 0, up to "),
        ("[tune]\ndropout = 1", "tune.dropout is 1 and has to be a number from 0, below 1."),
        ('[tune]\naugment = "lots"', "has to be \"none\", \"classic\" or \"strong\"."),
        ('resize = "Crop"', "resize is 'Crop' and has to be \"crop\", \"squash\" or \"pad\"."),
        ("backbone = []", "backbone is [] and has to be text of 1 to 1000 characters, or a list"),
        ('backbone = ["lite0", 3]', "backbone is ['lite0', 3] and has to be text"),
        ('name = "a\\nb"', "name is 'a\\nb' and has to be text of 1 to 100 characters."),
        ("head = 3", "head is 3 and has to be a table of knobs."),
        ('[head]\nkind = "svm"', 'has to be "logistic-regression" or "mlp".'),
        ("[head]\nkind = []", "head.kind is [] and has to be"),
        ("[head]\nstrengths = [0.1, 1]", "head.strengths is [0.1, 1.0] and has to fall"),
        ("[tune]\nstages = []", "tune.stages is [] and has to be a list of 1 to 20 tables."),
        ("[tune]\nstages = [3]", "tune.stages is 3 and has to be a table of knobs."),
        ("[[tune.stages]]\nrate = 0", "tune.stages.rate is 0 and has to be a number above 0"),
        ("validation = 0.5\ntest = 0.5", "leave no photos to train on"),
        ('backbone = "scratch:cnn"', "knows nothing before it is trained"),
        ('base = "fine-tun"', "base has to name a recipe: no recipe is called 'fine-tun'. Did you"),
        ("base = 3", "base has to name a recipe: "),
        ("seed = 1\nnote = x", "it is not TOML: Invalid value (at line 2, column 8)."),
        ("seed =", "it is not TOML: Invalid value (at line 1, its end)."),
        ("seed = 1\nseed = 2", "it is not TOML: Cannot overwrite a value (at line 2, its end)."),
        (f"seed = {'9' * 5000}", "a number of thousands of digits."),
        (f"seed = {'[' * 9000}", "nested too deeply."),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_gets_a_sentence(text: str, words: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        from_toml(text, "mine.toml")
    assert str(caught.value).startswith("mine.toml is no usable recipe: ")
    assert words in str(caught.value)
    assert len(str(caught.value)) < 600


@settings(max_examples=30)
@given(text=st.text(max_size=40))
def test_no_text_whatever_ends_in_another_error(text: str) -> None:
    try:
        from_toml(text, "mine.toml")
    except BadRecipe:
        return


def test_a_name_of_the_catalogue_or_a_file_opens(tmp_path: Path) -> None:
    assert open_recipe("fine-tune") == find("fine-tune")
    path = tmp_path / "Mine.TOML"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):  # as editors and PowerShell write it
        path.write_text('note = "µ"\nseed = 3\r\n', encoding=encoding)
        assert open_recipe(str(path)) == replace(LINEAR_PROBE, name="Mine", note="µ", seed=3)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "there is no such file; `fursure recipes fine-tune > mine.toml` writes one"),
        (b"#" * (LARGEST + 1), "larger than 20000 bytes, which no recipe needs"),
        (b"seed = 1 # \xff", "its byte 12 belongs to no text; save it as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_opened_gets_a_sentence(
    data: bytes | None, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(BadRecipe) as caught:
        open_recipe(str(path))
    assert words in str(caught.value)


def test_the_recipe_in_an_older_model_is_read_with_defaults_for_what_it_lacks() -> None:
    kept = shipped("pets").meta.recipe
    recipe = from_json(kept)
    assert recipe.name == "pets"
    assert kept["note"] == recipe.note
    older = {key: value for key, value in kept.items() if key not in {"tune", "flips", "photos"}}
    assert from_json(older) == recipe


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (3, "the model's recipe is no usable recipe: it is 3 and has to be an object of knobs."),
        ({"image_size": None, "seed": None}, "seed is None and has to be"),
        ({"head": {"kind": "Svm"}}, "head.kind is 'Svm' and has to be"),
        ({"head": {"kind": 3}}, "head.kind is 3 and has to be"),
        ({"head": None}, "head is None and has to be a table"),
        ({"tune": {"stages": {}}}, "tune.stages is {} and has to be a list"),
    ],
)
def test_json_that_no_recipe_wrote_is_refused(plain: Any, words: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        from_json(plain)
    assert words in str(caught.value)


def test_a_network_from_scratch_has_no_frozen_weights_to_mix_with() -> None:
    with pytest.raises(BadRecipe, match=r"tune\.mix is 0\.6 and has to be 1 for 'scratch:cnn'"):
        overlaid(find("scratch-cnn"), {"tune": {"mix": 0.6}}, "mine")
