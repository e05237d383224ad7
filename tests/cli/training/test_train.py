from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path

import click
import pytest
import torch

from cello.cli import cli
from cello.cli.inputs import labels_of
from cello.cli.models import open_model
from cello.cli.training.options import OrWord
from cello.convert import load_model, read_config, save_model
from cello.layers import CRF
from cello.tasks import (
    Characters,
    Classification,
    Forecasting,
    Tagging,
    build_network,
    python_tagging,
)
from cello.tasks.features import WordFeatures
from cello.tasks.readers.corpus import Document
from cello.train import Options
from tests.cli.running import run, run_json

PIECES = ("--pieces", "--piece-length", "--evaluation-length")
QUICK = ("--accelerator", "cpu", "--hidden-size", 4, "--batch-size", 2)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_model(folder).state_dict()


# ------------------------------------------------------------ tag


def test_words(words_file: Path, tmp_path: Path):
    model = tmp_path / "model"
    words = ["--train", words_file, "--validation", words_file, "--test", words_file]
    result = run("train", "tag", *words, *QUICK, "--epochs", 2, "--min-count", 1, "-o", model)
    assert "epoch 2/2" in result.stderr
    assert "span f1" in result.stdout
    assert "test" in result.stdout
    assert f"is in {model}" in result.stdout
    assert read_config(model)["task"]["features"]["kind"] == "both"
    assert "B-to" in run("predict", model, words_file).stdout
    assert (model / "log" / "metrics.csv").is_file()
    assert "validation span f1" in (model / "curves.svg").read_text()


def test_words_with_vectors_of_others(words_file: Path, tmp_path: Path):
    (tmp_path / "x.vec").write_text("2 3\ntaipei 1 2 3\nkyoto 4 5 6\n")
    words = ["--train", words_file, "--validation", words_file, *QUICK, "--epochs", 1, "--quiet"]
    words += ["--vectors", tmp_path / "x.vec"]
    result = run("train", "tag", *words, "-o", tmp_path / "model")
    assert "x.vec has vectors of 1 of the 7 words in training; 5 words are known" in result.stderr
    features = read_config(tmp_path / "model")["task"]["features"]
    assert (features["kind"], features["projection_size"]) == ("embedding", 3)
    assert features["words"] == ["Taipei", "taipei", "kyoto", "on"]
    assert "--vectors x.vec" in (tmp_path / "model" / "README.md").read_text()
    (tmp_path / "x.vec").unlink()
    assert run("predict", tmp_path / "model", words_file).stdout  # the file is not needed again
    result = run("train", "tag", *words, "-o", tmp_path / "other", code=2)
    assert "x.vec: no such file" in result.stderr


def test_columns_by_name(words_file: Path, tmp_path: Path):
    words = ["--train", words_file, "--validation", words_file, *QUICK, "--epochs", 1, "--quiet"]
    words += ["--columns", "word, slot", "--token", "Word", "--tag", "slot"]
    run("train", "tag", *words, "-o", tmp_path / "model")
    assert read_config(tmp_path / "model")["task"]["columns"] == [0, 1]
    assert "--columns 'word, slot'" in (tmp_path / "model" / "README.md").read_text()
    result = run("evaluate", tmp_path / "model", words_file, "--tag", "slot", code=2)
    assert "has no column called 'slot'; it does not tell how" in result.stderr
    assert run("predict", tmp_path / "model", words_file, "--token", "0").stdout


def test_words_with_a_crf(words_file: Path, tmp_path: Path):
    model = tmp_path / "model"
    words = ["--train", words_file, "--validation", words_file, "--parameters", 700, "--crf"]
    words += ["--accelerator", "cpu", "--quiet", "--epochs", 2, "--teacher-forcing", 0]
    found = run_json("train", "tag", *words, "--window", 0, "--network", "elman", "-o", model)
    assert abs(found["parameters"] - 700) < 50
    net = load_model(model)
    assert isinstance(net[-1], CRF)
    assert labels_of(open_model(model)) is None  # the page would take scores for odds
    assert float(net[-1].transitions.detach().abs().sum()) > 0  # it has learned
    # Scores that leave nothing but what the field says: tag 0 first, then 2, 1, 0, 2 …
    task = Tagging.from_config(read_config(model)["task"])
    with torch.no_grad():
        net[-2].weight.zero_()
        net[-2].bias.zero_()
        net[-1].start[0] = 20
        for before, after in ((0, 2), (2, 1), (1, 0)):
            net[-1].transitions[after, before] = 20
    save_model(net, model, task=task.config())
    rows = [line.split() for line in run("predict", model, words_file).stdout.splitlines()]
    assert [row[-1] for row in rows[:5]] == [task.tags[number] for number in (0, 2, 1, 0, 2)]
    assert "accuracy" in run_json("evaluate", model, words_file)["metrics"]


@pytest.mark.parametrize(
    ("network", "asked", "window"),
    [
        ("jordan", [], 3),
        ("elman", [], 3),
        ("lstm", [], 3),
        ("bi-elman", [], 0),
        ("jordan", ["--window", 0], 0),
        ("gru", ["--window", 1], 1),
    ],
)
def test_the_window_depends_on_the_network(
    words_file: Path, tmp_path: Path, network: str, asked: list, window: int
):
    model = tmp_path / "model"
    words = ["--train", words_file, "--validation", words_file, "--network", network, *asked]
    run("train", "tag", *words, *QUICK, "--epochs", 1, "--quiet", "-o", model)
    assert read_config(model)["task"]["features"]["window"] == window
    assert read_config(model)["task"]["features"]["kind"] == "both"


def test_tags_that_training_has_not_are_told(words_file: Path, tmp_path: Path):
    unseen = tmp_path / "unseen.txt"
    unseen.write_text("Taipei B-nowhere\n")
    words = ["--train", words_file, "--validation", unseen, *QUICK, "-o", tmp_path / "model"]
    result = run("train", "tag", *words, "--epochs", 1)
    assert "no training sequence has, so that they count as errors: B-nowhere" in result.stderr


def test_a_column_with_one_tag_is_told(tmp_path: Path):
    (tmp_path / "x.txt").write_text("to O -\nTaipei B -\n\non O -\n")
    words = ["--train", tmp_path / "x.txt", *QUICK, "--epochs", 1, "-o", tmp_path / "model"]
    result = run("train", "tag", *words)
    assert "x.txt has the tag -: there is nothing to learn; is column -1 the one" in result.stderr
    assert ", 1 step in " in result.stdout


def test_json(words_file: Path, tmp_path: Path):
    words = ["--train", words_file, "--validation", words_file, *QUICK, "-o", tmp_path / "model"]
    result = run("train", "tag", *words, "--epochs", 2, "--json")
    assert result.stderr == ""  # no progress
    data = json.loads(result.stdout)
    assert [row["epoch"] for row in data["history"]] == [1, 2]
    assert data["folder"] == str(tmp_path / "model")
    net = load_model(tmp_path / "model")
    assert data["parameters"] == sum(p.numel() for p in net.parameters())
    assert data["test"] == {}


def test_the_default_data(
    documents: list[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    module = sys.modules["cello.tasks.python_tagging"]  # the package's name is the function
    monkeypatch.setattr(module, "standard_library", lambda: documents)
    words = [*QUICK, "--pieces", 4, "--piece-length", 16, "--min-count", 1, "--epochs", 1]
    data = run_json("train", "tag", *words, "-o", tmp_path / "model", "--network", "jordan")
    assert "memory_accuracy" in data["test"]
    assert read_config(tmp_path / "model")["net"]["modules"][1]["cell"]["type"] == "JordanCell"
    output = run("train", "tag", *words, "-o", tmp_path / "other", "--quiet").stdout
    assert "memory accuracy" in output
    assert "accuracy/" not in output  # those of single kinds are in the JSON


# ------------------------------------------------------------ chars


def test_texts(text: Path, tmp_path: Path):
    words = ["--train", text, *QUICK, "--tbptt-steps", 10, "--epochs", 1]
    data = run_json("train", "chars", *words, "-o", tmp_path / "model")
    assert set(data["test"]) == {"bits_per_character", "accuracy", "other_share"}
    assert run_json("sample", tmp_path / "model", "--length", 5)["text"]


def test_the_default_text(
    documents: list[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("cello.tasks.characters.standard_library", lambda: documents)
    words = [*QUICK, "--tbptt-steps", 16, "--epochs", 1, "-o", tmp_path / "model"]
    assert run_json("train", "chars", *words)["steps"] > 0


# ------------------------------------------------------------ options


def options_of(name: str) -> dict[str, click.Option]:
    group = cli.get_command(click.Context(cli), "train")
    command = group.get_command(click.Context(group), name)
    return {option.name: option for option in command.params}


def arguments(function) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(function).parameters)


@pytest.mark.parametrize(
    ("name", "functions", "not_for_users"),
    [
        ("tag", [Options], set()),
        ("chars", [Options], set()),
        ("tag", [build_network], {"encoder", "output_size", "numbers", "pool"}),
        ("classify", [build_network], {"encoder", "output_size", "numbers", "crf"}),
        (
            "classify",
            [Classification, Classification.from_files, Classification.from_sequences],
            {"features", "classes", "form", "held_out", "where", "options"},
        ),
        ("tag", [python_tagging], {"documents"}),
        (
            "forecast",
            [Forecasting, Forecasting.from_series, Forecasting.from_table],
            {"series", "plan", "table", "columns", "clock", "options"},
        ),
        (
            "tag",
            [Tagging.from_conll, WordFeatures.fit],
            {"sequences", "feature_options"},
        ),
        (
            "chars",
            [Characters, Characters.from_documents],
            {"documents", "vocabulary", "held_out", "options"},
        ),
    ],
)
def test_every_argument_is_an_option(name: str, functions: list, not_for_users: set[str]):
    options = options_of(name)
    wanted = {argument for function in functions for argument in arguments(function)}
    if WordFeatures.fit in functions:
        wanted.remove("kind")  # from_conll calls it features
    assert wanted - not_for_users <= set(options)


@pytest.mark.parametrize("name", ["tag", "chars"])
def test_the_help_says_the_true_defaults(name: str):
    options = options_of(name)
    for argument, parameter in arguments(Options).items():
        default = parameter.default
        shown = default[0] if isinstance(default, tuple) else default
        text = options[argument].help or ""
        assert text.endswith(f"[default: {'none' if shown is None else shown}]"), argument


def test_options_reach_the_training(text: Path, tmp_path: Path):
    words = ["--train", text, *QUICK, "--tbptt-steps", 10, "--epochs", 1, "-o", tmp_path / "model"]
    options = ["--clip-norm", "none", "--learning-rate", "0.01", "--log", "csv", "--seed", "7"]
    more = ["--schedule", "cosine", "--checkpoint-seconds", "none", "--max-size", "5"]
    run("train", "chars", *words, *options, *more, "--layers", "2", "--dropout", "0.5", "--quiet")
    (state,) = ((tmp_path / "model" / "checkpoint").glob("*-step-*/state.json"),)
    fixed = json.loads(sorted(state)[-1].read_bytes())["identity"]["option"]
    assert fixed["clip_norm"] is None
    assert (fixed["learning_rate"], fixed["schedule"], fixed["seed"]) == (0.01, "cosine", 7)
    config = read_config(tmp_path / "model")
    kinds = [module["type"] for module in config["net"]["modules"]]
    assert kinds == ["OneHot", "LSTM", "Dropout", "LSTM", "Dropout", "Linear"]
    assert len(config["task"]["features"]["characters"]) <= 5


def test_the_seed_is_that_of_the_first_weights(text: Path, tmp_path: Path):
    def train(folder: str, seed: int) -> dict[str, torch.Tensor]:
        words = ["--train", text, *QUICK, "--epochs", 1, "--seed", seed, "--quiet"]
        run("train", "chars", *words, "-o", tmp_path / folder)
        return weights(tmp_path / folder)

    first, again, other = train("a", 1), train("b", 1), train("c", 2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_number_of_parameters(text: Path, tmp_path: Path):
    words = ["--train", text, "--batch-size", 2, "--epochs", 1, "--accelerator", "cpu"]
    data = run_json("train", "chars", *words, "--parameters", 1000, "-o", tmp_path / "model")
    assert abs(data["parameters"] - 1000) < 60


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["tag", "--validation", "x"],
            "--validation needs --train FILE; see cello train tag --help",
        ),
        (["tag", "--window", "2"], "--window needs words: give --train FILE; see"),
        (["tag", "--train", "FILE", "--pieces", "3"], "--pieces is for the default data, without"),
        (["chars", "--test", "x"], "--test needs --train PATH; see cello train chars --help"),
        (["tag", "--train", "nowhere"], "nowhere: no such file or folder"),
        (["chars", "--train", "nowhere"], "nowhere: no such file or folder"),
        (["chars", "--network", "bi-lstm"], "'bi-lstm' is not one of"),
        (["chars", "--epochs", "many"], "'many' is not a valid integer"),
        (["chars", "--clip-norm", "much"], "'much' is not a number or none"),
        (
            ["chars", "--train", "FILE", "--epochs", "0"],
            "--epochs must be a whole number from 1 to 1,000,000,000, got 0",
        ),
        (["chars", "--train", "FILE", "--log", "x"], "--log must be any of csv, tensorboard"),
        (
            ["chars", "--train", "FILE", "--hidden-size", "3", "--parameters", "100"],
            "--hidden-size and --parameters exclude each other",
        ),
        (
            ["chars", "--train", "FILE", "--hidden-size", "0"],
            "--hidden-size must be a whole number from 1 to 2,147,483,647, got 0",
        ),
        (
            ["chars", "--train", "FILE", "--hidden-size", "10000000"],
            "--hidden-size must be smaller: training 400,",
        ),
        (
            ["chars", "--train", "FILE", "--parameters", str(2**70)],
            "--parameters must be a whole number from 1 to 1,000,000,000,000, got",
        ),
        (
            ["chars", "--train", "FILE", "--seed", str(2**70)],
            "--seed must be a whole number from 0 to ",
        ),
        (
            ["tag", "--train", "WORDS", "--validation", "WORDS", "--projection-size", "0"],
            "--projection-size must be a whole number from 1 to 2,147,483,647 or None, got 0",
        ),
        (
            ["tag", "--train", "WORDS", "--validation", "WORDS", "--projection-size", "2000000000"],
            "--projection-size must be smaller: training ",
        ),
        (["chars", "--train", "FILE", "--resume"], "no checkpoint in"),
        (["tag", "--train", "WORDS", "--test", "nowhere"], "nowhere: no such file or folder"),
        (["chars", "--train", "FILE", "--test", "nowhere"], "nowhere: no such file or folder"),
        (["tag", "--train", "WORDS", "--tag", "0"], "--token and --tag are both column 0"),
        # Options are checked before any data are read.
        (["tag", "--train", "nowhere", "--dropout", "1"], "--dropout must be below 1, for with 1"),
        (["tag", "--train", "nowhere", "--batch-size", "0"], "--batch-size must be a whole number"),
        (["chars", "--train", "nowhere", "--layers", "0"], "--layers must be a whole number from"),
        (["chars", "--train", "nowhere", "--precision", "7"], "does not take accelerator='auto'"),
    ],
)
def test_wrong_words(words: list[str], message: str, text: Path, words_file: Path, tmp_path: Path):
    files = {"FILE": str(text), "WORDS": str(words_file)}
    words = [files.get(word, word) for word in words]
    assert message in run("train", *words, "-o", tmp_path / "model", code=2).stderr


def test_wrong_columns_name_the_line(tmp_path: Path):
    (tmp_path / "x.txt").write_text("a O\nb O\nc\n")
    result = run("train", "tag", "--train", tmp_path / "x.txt", "-o", tmp_path / "model", code=2)
    assert "x.txt:3: expected 2 columns as on line 1, found 1: 'c'" in result.stderr


@pytest.mark.parametrize(
    ("kind", "words", "text", "value"),
    [
        (int, ("none",), "3", 3),
        (float, ("none",), "0.5", 0.5),
        (int, ("auto",), "auto", "auto"),
        (int, (), 4, 4),
    ],
)
def test_a_number_or_a_word(kind, words, text, value):
    assert OrWord(kind, *words).convert(text, None, None) == value


# ------------------------------------------------------------ numbers


def numbers() -> list[tuple[str, str, str]]:
    found = []
    for name in ("tag", "chars"):
        for option in options_of(name).values():
            kind = getattr(option.type, "name", "")
            values = [str(2**70), str(-(2**70))] if "integer" in kind else []
            values += ["nan", "inf", "-inf"] if "float" in kind else []
            found += [(name, max(option.opts, key=len), value) for value in values]
    return found


@pytest.mark.parametrize(("name", "option", "value"), numbers())
def test_every_number_has_a_range(name: str, option: str, value: str, tmp_path: Path):
    """And it is looked at before any data are: here there are none."""
    words = [] if option in PIECES else ["--train", tmp_path / "nowhere"]
    command = ["train", name, *words, "--epochs", 1, f"{option}={value}", "-o", tmp_path / "model"]
    result = run(*command, code=2)
    assert option in result.stderr or value in result.stderr
    assert "nowhere" not in result.stderr
    assert not (tmp_path / "model").exists()
