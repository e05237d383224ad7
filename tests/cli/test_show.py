"""`cello show`, `cello sample` and `cello info`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import cello
from cello.convert import save_model
from tests.cli.running import run, run_json
from tests.registry import ZOO

# ------------------------------------------------------------ show


def test_a_model_is_shown(kinds_model: Path):
    output = run("show", kinds_model).stdout
    assert "tags: keyword, name, number, string, comment, operator, space, newline" in output
    assert "(1): LSTM(" in output
    assert "\n  c = i ⊙ g + f ⊙ c_prev\n" in output  # one of the equations
    data = run_json("show", kinds_model)
    assert data["net"]["modules"][1]["type"] == "LSTM"
    assert data["task"]["task"] == "tag"
    size = data["net"]["modules"][1]["input_size"]
    assert data["parameters"] == 4 * 6 * (size + 6 + 2) + 8 * 7
    assert list(data["equations"]) == ["1.0", "2"]
    assert data["equations"]["2"] == "output = W h + b"


def test_models_of_all_tasks_are_shown(words_model: Path, chars_model: Path, tmp_path: Path):
    assert "tags: B-from, B-time, B-to, I-time, O" in run("show", words_model).stdout
    assert "predicts the next of " in run("show", chars_model).stdout
    save_model(cello.GRU(2, 3), tmp_path)
    output = run("show", tmp_path).stdout
    assert "GRU(2, 3)" in output
    assert run_json("show", tmp_path)["task"] is None


def test_a_model_with_cells_of_the_zoo_is_shown(tmp_path: Path):
    layers = (cello.Recurrent(build()) for build in ZOO.values())
    save_model(torch.nn.Sequential(*layers).eval(), tmp_path)
    output = run("show", tmp_path).stdout
    assert all(f"{name.partition('-')[0]}(" in output for name in ZOO)
    assert "\n  y = (1 − dt_2) ⊙ y_prev + dt_2 ⊙ tanh(x_y + R_y z)\n" in output
    shown = run_json("show", tmp_path)["equations"]
    assert len(shown) == len(ZOO)
    assert not [text for text in shown.values() if "cannot be captured" in text]


def test_what_is_no_model(tmp_path: Path):
    assert "is no saved model: it has no config.json" in run("show", tmp_path, code=2).stderr
    for name in ("x", "x.onnx"):
        said = run("show", tmp_path / name, code=2).stderr
        assert f"{name} does not exist: expected the folder of a saved model, or a file" in said


# ------------------------------------------------------------ show --c


def test_the_loops_in_c_are_shown(kinds_model: Path):
    output = run("show", kinds_model, "--c").stdout
    assert output.startswith("/* layer 1.0 */\n/* The forward loop of LSTMCell. */\n")
    assert "const vec g = v_tanh(" in output
    backward = run("show", kinds_model, "--c", "--backward", "--layer", "1").stdout
    assert backward.startswith("/* layer 1.0 */\n/* The backward loop of LSTMCell. */\n")
    assert run_json("show", kinds_model, "--c") == {"1.0": output.partition("\n")[2]}


def test_layers_with_the_same_loop_are_shown_together(words_model: Path):
    output = run("show", words_model, "--c").stdout
    assert output.count("The forward loop of") == 1
    name = "1" if "1.forward" in output else "0"
    assert output.startswith(f"/* layers {name}.forward, {name}.backward */\n")
    one = run("show", words_model, "--c", "--layer", f"{name}.backward").stdout
    assert one.startswith(f"/* layer {name}.backward */\n")
    assert one.partition("\n")[2] == output.partition("\n")[2]


def test_a_single_layer_needs_no_name(tmp_path: Path):
    layer = cello.Recurrent(cello.ElmanCell(2, 3))
    save_model(layer, tmp_path)
    assert run("show", tmp_path, "--c").stdout == layer.source()


def test_what_has_no_loop(kinds_model: Path, tmp_path: Path):
    error = run("show", kinds_model, "--c", "--layer", "7", code=2).stderr
    assert "no layer is named '7'; there are '1.0'" in error
    error = run("show", kinds_model, "--layer", "1", code=2).stderr
    assert "--layer goes with --c" in error
    error = run("show", kinds_model, "--backward", code=2).stderr
    assert "--backward goes with --c" in error
    save_model(torch.nn.Linear(2, 3), tmp_path)
    assert "has no recurrent layer" in run("show", tmp_path, "--c", code=2).stderr


def test_a_cell_that_has_no_loop_in_c(tmp_path: Path):
    save_model(cello.Recurrent(cello.ElmanCell(2, 3)).to(torch.float16), tmp_path)
    error = run("show", tmp_path, "--c", code=1).stderr
    assert "ElmanCell cannot become a loop in C: compiled loops compute in torch.float32, " in error


# ------------------------------------------------------------ sample


def test_text_comes_after_the_prompt(chars_model: Path):
    output = run("sample", chars_model, "--prompt", "def ", "--length", 30).stdout
    assert output.startswith("def ")
    assert len(output) == 4 + 30 + 1
    data = run_json("sample", chars_model, "--prompt", "def ", "--length", 30)
    assert data == {"prompt": "def ", "text": output[4:-1]}


def test_seed_and_temperature(chars_model: Path):
    def text(*words: object) -> str:
        return run_json("sample", chars_model, "--length", 40, *words)["text"]

    assert text("--seed", 1) == text("--seed", 1)
    assert text("--seed", 1) != text("--seed", 2)
    assert text("--temperature", 0, "--seed", 1) == text("--temperature", 0, "--seed", 2)


def test_the_default_prompt_is_a_new_line(chars_model: Path):
    assert run_json("sample", chars_model, "--length", 3)["prompt"] == "\n"
    assert len(run("sample", chars_model, "--length", 3).stdout) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prompt", "dÖf"], "prompt: character 'Ö' (U+00D6) at place 2 is not one of the"),
        (["--length", -1], "--length must be a whole number from 0 to 2,147,483,647, got -1"),
        (["--temperature", -1.0], "--temperature must be a finite number from 0, got -1.0"),
        (["--temperature", "inf"], "--temperature must be a finite number from 0, got inf"),
        (["--seed", 2**70], f"--seed must be a whole number from 0 to 4,294,967,295, got {2**70}"),
    ],
)
def test_what_is_wrong_in_a_sample(words: list, message: str, chars_model: Path):
    assert message in run("sample", chars_model, *words, code=2).stderr


def test_a_model_that_tags_does_not_sample(kinds_model: Path):
    assert "tags: use cello predict" in run("sample", kinds_model, code=2).stderr


# ------------------------------------------------------------ info


def test_info(monkeypatch: pytest.MonkeyPatch):
    data = run_json("info")
    assert data["cello"] == cello.__version__
    assert data["torch"] == torch.__version__
    assert data["threads"] == torch.get_num_threads()
    assert data["engines"][0] == "auto"
    assert "reference" in data["engines"]
    files, _, size = data["default data"].partition(" files, ")
    assert int(files) > 100
    assert size.endswith(" characters")
    assert "/" not in data["default data"]  # no paths
    output = run("info").stdout
    assert f"torch             {torch.__version__}" in output


def test_info_tells_the_compiler_and_the_cache(tmp_path: Path):
    data = run_json("info", CELLO_CACHE=str(tmp_path / "kept"))
    assert data["cache"] == str(tmp_path / "kept")
    assert data["compiler"].endswith(("(on the PATH)", "(from $CC)", "(the package ziglang)"))
    data = run_json("info", CC="no-such-compiler")
    assert data["compiler"].startswith("$CC names the C compiler 'no-such-compiler', which is not")


def test_info_without_the_default_data(monkeypatch: pytest.MonkeyPatch):
    def gone() -> None:
        raise cello.errors.DataError("not on this machine")

    monkeypatch.setattr("cello.tasks.readers.corpus.standard_library", gone)
    assert run_json("info")["default data"] == "not on this machine"
