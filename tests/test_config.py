"""Configs: every mistake at once, one line each, with the key as the user wrote it."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

import pytest
from pydantic import Field, ValidationError, model_validator

from vidda import config
from vidda.config import Config, ConfigError
from vidda.schema import describe


class Small(Config):
    """A small one.

    More about it.
    """

    name: Literal["small"] = "small"
    width: int = Field(3, ge=1, description="channels of the trunk")


class Large(Config):
    """A large one."""

    name: Literal["large"] = "large"
    depth: int = 4
    inner: Small = Small()


Model = Annotated[Small | Large, Field(discriminator="name")]


class Job(Config):
    root: Path = Field(description="folder of the videos")
    epochs: int = 1
    lr: float = 1e-3
    flip: bool = False
    note: str = "x"
    size: tuple[int, int] = (112, 112)
    seed: int | str | None = None
    model: Model = Small()
    models: tuple[Model, ...] = ()
    named: dict[str, Small] = Field(default_factory=dict)
    nested: Large = Large(depth=9, inner=Small(width=5))
    pair: tuple[Model, ...] = (Large(depth=8), Small())
    watch: dict[str, Path] = Field(default_factory=dict)
    workers: int = 0

    @model_validator(mode="after")
    def _lucky(self) -> Self:
        if self.epochs == 13:
            raise ValueError("epochs is 13; choose 12 or 14")
        return self


def problems(*overrides: str, file: Path | None = None, root: str = "root=r") -> list[str]:
    with pytest.raises(ConfigError) as wrong:
        config.load(Job, file, [root, *overrides])
    assert str(wrong.value) == "\n".join(wrong.value.problems)
    return list(wrong.value.problems)


def load(*overrides: str, file: Path | None = None) -> Job:
    return config.load(Job, file, ["root=r", *overrides])


def test_defaults_file_and_overrides_in_that_order(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("root: videos\nepochs: 5\nlr: 1e-2\nmodel:\n  name: large\n  depth: 7\n")
    job = config.load(Job, file, ["epochs=6", "model.inner.width=9", "size=[8, 9]"])
    assert (job.root, job.epochs, job.lr, job.size) == (Path("videos"), 6, 0.01, (8, 9))
    assert job.model == Large(depth=7, inner=Small(width=9))


def test_a_config_is_immutable() -> None:
    with pytest.raises(ValidationError):
        load().epochs = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("epochs=true", "epochs: true is not a whole number"),
        ('epochs="3"', 'epochs: "3" is not a whole number'),
        ("epochs=3.0", "epochs: 3.0 is not a whole number"),
        ('lr="1e-4"', 'lr: "1e-4" is not a number'),
        ("lr=.nan", "lr: NaN should be a finite number"),
        ("flip=on", 'flip: "on" is not true or false'),
        ("flip=1", "flip: 1 is not true or false"),
        ("note=3", "note: 3 is not text; put it in quotes"),
        ("root=2024", "root: 2024 is not text; put it in quotes"),
        ("size=3", "size: 3 is not a list"),
        ("named=3", "named: 3 is not a mapping of keys to values"),
        ("model=3", "model: 3 is not a mapping of keys to values"),
        ("seed=1.5", "seed: 1.5 is not a whole number and 1.5 is not text; put it in quotes"),
        ("model.width=0", "model.width: 0 should be greater than or equal to 1"),
        ("epochs=13", "epochs is 13; choose 12 or 14"),
        (
            "model.name=smal",
            "model.name: 'smal' is not one of 'small', 'large'; did you mean 'small'?",
        ),
        (
            "models=[{width: 3}]",
            "models.0.name: missing; choose one of large, small; only small has width: add"
            " models.0.name=small",
        ),
        ("models=[{}]", "models.0.name: missing; choose one of large, small"),
        ("model.depth=3", "model.name: missing; choose one of large, small; only large has depth"),
        ("epoch=3", "epoch: unknown key; did you mean 'epochs'?"),
        ("width=3", "width: unknown key; did you mean 'model.width'?"),
        (
            "model={name: large, width: 3}",
            "model.width: large has no such key; take it out; known are depth, inner, name",
        ),
        ("named={x: {widht: 1}}", "named.x.widht: unknown key; did you mean 'width'?"),
        ("models=[{name: large, dpth: 1}]", "models.0.dpth: unknown key; did you mean 'depth'?"),
        (
            "models=[{name: small}, {name: large, inner: {wdth: 1}}]",
            "models.1.inner.wdth: unknown key; did you mean 'width'?",
        ),
        (
            "qqq=1",
            "qqq: unknown key; known are epochs, flip, lr, model, models, named, nested, note, ",
        ),
        ("workers=100000", "workers: 100000 is more than 1,024, which nothing here can be"),
        ("epochs=18446744073709551616", "epochs=18446744073709551616: 18446744073709551616 is a"),
        ("epochs=" + "9" * 5000, "epochs=" + "9" * 53 + ": YAML that is not plain data: 9999"),
        (f"watch.a={'x' * 256}", f"watch: '{'x' * 39}... is too long for a path: 255 bytes"),
        (f"root={'x/' * 2048}x", f"root: '{'x/' * 19}x... is too long for a path: 255 bytes"),
        ('note="a\\0b"', """note="a\\0b": 'a\\x00b' holds NUL or bytes that are not UTF-8"""),
        ('note="a\\udcffb"', """note="a\\udcffb": 'a\\udcffb' holds NUL or bytes that are not"""),
        ("models=" + "[" * 5000 + "]" * 5000, "models=" + "[" * 53 + ": nested more than 50 deep"),
        (
            "models=" + "[" * 60 + "]" * 60,
            "models=" + "[" * 53 + ": 0.0.0.0.0.0.0.0.0.0....: nested",
        ),
        ("models.1.name=small", "models.1.name: 'models' is a list of 0; its items are 0, 1, ..."),
        ("models.x.name=small", "models.x.name: 'models' is a list of 0; its items are 0, 1, ..."),
        ("note=[old] runs", "note=[old] runs: not valid YAML: "),
        ("epochs", "'epochs': an override is written key=value or key.sub=value"),
        ("a..b=1", "'a..b=1': an override is written key=value or key.sub=value"),
        ("epochs=[", "epochs=[: not valid YAML: "),
    ],
)
def test_a_mistake_is_one_line_that_names_key_value_and_remedy(override: str, line: str) -> None:
    if override.startswith("model.width"):
        found = problems("model.name=small", override)
    else:
        found = problems(override)
    assert len(found) == 1
    assert found[0].startswith(line)


def test_all_mistakes_are_told_at_once_and_those_of_the_file_name_it(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("epoch: 3\nmodel: {name: large, inner: {wide: 3}}\nlr: fast\nflip: yes\n")
    found = problems("lr=slow", "epochs=[", "note=1", file=file, root="size=[1]")
    assert sorted(found) == sorted(
        [
            f"{file}: epoch: unknown key; did you mean 'epochs'?",
            f"{file}: model.inner.wide: unknown key; did you mean 'width'?",
            f'{file}: flip: "yes" is not true or false',
            'lr: "slow" is not a number',
            "note: 1 is not text; put it in quotes",
            f"{file}: root: missing; give it in the file or as root=VALUE",
            "size.1: missing; give it in the file or as size.1=VALUE",
            *(line for line in found if line.startswith("epochs=[: not valid YAML")),
        ]
    )
    assert len(found) == 8


def test_an_override_below_a_value_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("epochs: 3\n")
    assert "epochs.x: 'epochs' is 3, which has no keys" in problems("epochs.x=1", file=file)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("root: r\nepochs: 1\nepochs: 2\n", ":3: not valid YAML: found duplicate key"),
        ("root: r\nlr: [1,\n", ":3: not valid YAML: "),
        ("root: r\nlr: !!python/object:os.system x\n", ":2: not valid YAML: "),
        ("- 1\n- 2\n", ": a config is a mapping of keys to values, not [1, 2]"),
        ("root: &a [*a]\n", ": YAML that is not plain data: "),
    ],
)
def test_a_file_that_is_no_config_is_named_with_its_line(
    tmp_path: Path, text: str, line: str
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as wrong:
        config.load(Job, file)
    assert str(wrong.value).startswith(f"{file}{line}")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("absent.yaml", "bytes.yaml", "."):
        with pytest.raises(ConfigError, match="cannot be read as a config"):
            config.load(Job, tmp_path / name)


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_file_is_an_empty_config(tmp_path: Path, text: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(text)
    assert load(file=file) == load()


def test_dump_and_load_give_the_same_config(tmp_path: Path) -> None:
    job = load(
        "lr=1e-7", 'note="on: #3"', "model.name=large", "models=[{name: small}, {name: large}]",
        "named={a: {width: 5}}", 'seed="1e3"', "size=[3, 4]",
    )  # fmt: skip
    file = tmp_path / "config.yaml"
    file.write_text(config.dump(job))
    assert config.load(Job, file) == job
    assert config.dump(config.load(Job, file)) == config.dump(job)


@pytest.mark.parametrize(
    "note", ["on", "3", "1e-4", "null", "~", "", " x ", "a\nb", "é", "2024-01-01"]
)
def test_texts_that_look_like_something_else_come_back_as_texts(tmp_path: Path, note: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(config.dump(Job(root=Path("r"), note=note)))
    assert config.load(Job, file).note == note


def test_a_home_folder_is_expanded() -> None:
    assert load("root=~/videos").root == Path.home() / "videos"


def test_the_description_has_every_key_with_type_default_and_text() -> None:
    keys = {(key.name, key.type): key for key in describe(Job)}
    assert keys["root", "Path"].default == "required"
    assert keys["root", "Path"].description == "folder of the videos"
    assert keys["size", "[int, int]"].default == "[112, 112]"
    assert keys["seed", "int | str | null"].default == "null"
    assert keys["watch", "{NAME: Path, ...}"].default == "{}"
    assert keys["model", "name: small | large"].default == "name: small"
    assert keys["model.name=large", ""].description == "A large one."
    assert keys["model.width", "int"].description == "channels of the trunk"
    names = {name for name, _ in keys}
    assert {"model.depth", "model.inner.width", "models[].inner.width", "named.NAME.width"} <= names
    assert set(Job.model_fields) <= names


def test_the_description_tells_the_defaults_that_hold() -> None:
    defaults = {key.name: key.default for key in describe(Job)}
    assert defaults["nested.depth"] == "9" and defaults["nested.inner.width"] == "5"
    assert defaults["models[].inner.width"] == "3"


@pytest.mark.parametrize(
    "text",
    ["a/c #3", "#3", "photo: a man", "a:", "@x", "`x`", "%x", "*x", "&x", "!x", "|", "> x", "? x",
     "- a", "---", "...", "a ", " a", "\ta", "a\nb", "3 #4", "'tis", '"a" he said', "2024-13-45",
     "2024-01-01 10:00", "1:30", "\x7f", "=", "<<", "-", "on", "~x"],
)  # fmt: skip
def test_a_value_of_the_command_line_is_no_document(text: str) -> None:
    assert load(f"note={text}").note == text


def test_lists_mappings_and_quoted_text_of_the_command_line_have_no_comments() -> None:
    job = load('models=[{name: small, "width": 4}]', "watch={a: take #2, 'b': \"#3\"}", "lr= 1e-4 ")
    assert job.models == (Small(width=4),) and job.lr == 1e-4
    assert job.watch == {"a": Path("take #2"), "b": Path("#3")}
    assert load('note="3"').note == "3" and load("note='it''s'").note == "it's"
    assert load("seed=~").seed is None and load("seed=17").seed == 17 and load("flip=true").flip


def test_an_override_reaches_into_a_list(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("models: [{name: large, inner: {width: 2}}, {name: small}]\nsize: [1, 2]\n")
    job = load("models.0.depth=7", "models.1.width=5", "size.1=9", "models.2.name=small", file=file)
    assert job.models == (Large(depth=7, inner=Small(width=2)), Small(width=5), Small())
    assert job.size == (1, 9)
    assert load("pair.1.width=6").pair == (Large(depth=8), Small(width=6))
    assert load("size.0=7").size == (7, 112)


def test_an_override_of_what_stands_by_default_keeps_the_rest_of_it(tmp_path: Path) -> None:
    assert load("model.width=7").model == Small(width=7)
    assert load("nested.inner.name=small", "nested.depth=3").nested == Large(
        depth=3, inner=Small(width=5)
    )
    file = tmp_path / "job.yaml"
    file.write_text("nested: {depth: 4}\n")
    assert load("nested.inner.width=2", file=file).nested == Large(depth=4, inner=Small(width=2))
    for overrides in (["model.name=large", "model.depth=2"], ["model.depth=2", "model.name=large"]):
        assert load(*overrides).model == Large(depth=2)
    file.write_text("model: {name: large}\n")
    assert load("model.inner.width=2", file=file).model == Large(inner=Small(width=2))


def test_a_new_name_replaces_the_files_that_a_config_names(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("watch: {ground: a, air: b}\nnamed: {x: {width: 2}}\n")
    assert load("watch.real=c", "named.y.width=3", file=file).watch == {"real": Path("c")}
    assert load("watch.air=c", file=file).watch == {"ground": Path("a"), "air": Path("c")}
    both = load("watch.air=c", "watch.real=d", "named.y.width=3", file=file)
    assert both.watch == {"air": Path("c"), "real": Path("d")}
    assert both.named == {"x": Small(width=2), "y": Small(width=3)}


def test_a_home_folder_is_expanded_in_lists_too() -> None:
    assert load("watch={a: ~/x}").watch == {"a": Path.home() / "x"}
    assert "has this home folder" in problems("watch.a=~nobody-of-this-name/x")[0]


@pytest.mark.parametrize("form", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_are_bounded_by_what_they_stand_for(tmp_path: Path, form: str) -> None:
    names = [f"a{n}" for n in range(12)]
    lines = ["a0: &a0 {x: 1}"]
    for below, name in pairwise(names):
        lines.append(f"{name}: &{name} {form.format(', '.join([f'*{below}'] * 9))}")
    file = tmp_path / "job.yaml"
    file.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=r"its aliases stand for [0-9,]+ values and characters"):
        config.load(Job, file)
    file.write_text("root: &r videos\nnote: *r\nnamed: {a: &a {width: 2}, b: {<<: *a}}\n")
    job = config.load(Job, file)
    assert job.note == "videos" and job.named["b"] == Small(width=2)


@pytest.mark.parametrize("text", ["%YAML 9.9\n---\na: 1\n", "%YAML 1\n---\na: 1\n"])
def test_directives_that_the_parser_stumbles_over_are_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        config.read(tmp_path / "c.yaml")
    assert "\n" not in str(error.value)
