"""The task: what it reads, what it learns from, what it reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cello.errors import ArgumentError, DataError, DtypeError, ModelError
from cello.tasks import build_network, task_from_config
from cello.tasks.classification import Classification, FileColumns, digits, read_sequences
from cello.tasks.classification.table_rows import NumberFeatures

TEXTS = pd.DataFrame(
    {"text": ["a b", "c", "b a c", "", "b"] * 4, "label": ["x", "y", "x", "y", "x"] * 4}
)
STEPS = pd.DataFrame(
    {
        "id": [7, 7, 5, 5, 5, 9],
        "speed": [1.0, 3.0, None, 5.0, 1.0, 2.0],
        "gear": ["low", "high", "low", None, "low", "new"],
        "kind": [1, 1, 0, 0, 0, 1],
    }
)


def net_of(task: Classification, pool: str = "last") -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network("gru", task.features.encoder(), 4, task.output_size, pool=pool)


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_the_forms_of_tables(ending: str, tmp_path: Path):
    path = tmp_path / f"steps.{ending}"
    if ending == "parquet":
        STEPS.to_parquet(path)
    elif ending == "jsonl":
        STEPS.to_json(path, orient="records", lines=True)
    else:
        STEPS.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    found = read_sequences(path, FileColumns(label="kind", by="id"))
    assert found.names == ["7", "5", "9"]  # in the order of the file
    assert found.labels == ["1", "0", "1"]
    assert [len(rows) for rows in found.items] == [2, 3, 1]
    assert list(found.items[0].columns) == ["speed", "gear"]


def test_rows_are_scaled_as_in_training_and_what_is_missing_is_told():
    task = Classification.from_files(STEPS, STEPS, by="id", label="kind")
    about = {column["name"]: column for column in task.features.columns}
    assert about["gear"]["categories"] == ["high", "low", "new"]
    known = STEPS["speed"].dropna()
    x = task.given(STEPS)[1].x  # of id 5
    scaled = [(value - known.mean()) / known.std(ddof=0) for value in (5.0, 1.0)]
    assert x[:, 0].tolist() == pytest.approx([0.0, *scaled])
    assert x[:, 1].tolist() == [1.0, 0.0, 0.0]  # whether the speed is missing
    assert x[:, 2:].tolist() == [[0, 1, 0], [0, 0, 0], [0, 1, 0]]
    unknown = STEPS.assign(gear="never seen")
    assert not task.given(unknown)[0].x[:, 2:].any()


def test_labels_that_differ_in_spaces_or_capital_letters_alone_are_named():
    table = pd.DataFrame({"text": ["a"] * 6, "label": ["spam", "Spam", "ham", "ham ", "h am", "x"]})
    with pytest.warns(UserWarning, match="differ in spaces or capital letters alone") as said:
        task = Classification.from_files(table, table)
    assert len(task.classes) == 6
    both = ("'ham' and 'ham '", "'Spam' and 'spam'")
    assert len(said) == 2
    for labels, warning in zip(both, said, strict=True):
        assert f"the training data: the labels {labels} differ" in str(warning.message)


def test_arrays(tmp_path: Path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 4, 2)), np.array([0, 1] * 3)
    np.savez(tmp_path / "a.npz", x=x, y=y, lengths=np.array([4, 1, 2, 4, 4, 3]))
    task = Classification.from_files(tmp_path / "a.npz", tmp_path / "a.npz")
    assert [len(example.x) for example in task._train] == [4, 1, 2, 4, 4, 3]
    np.save(tmp_path / "x.npy", x)
    assert len(task.predict(net_of(task), task.read(tmp_path / "x.npy"))) == 6


def test_a_tenth_of_each_label_is_set_aside():
    table = pd.DataFrame(
        {"text": [str(n) for n in range(100)], "label": [n % 10 for n in range(100)]}
    )
    task = Classification.from_files(table)
    assert len(task.classes) == 10
    assert sorted(int(example.y) for example in task._held_out["validation"]) == list(range(10))
    assert len(task._train) == 90
    assert task.splits == ("validation",)
    few = Classification.from_files(TEXTS[:4])
    assert len(few._held_out["validation"]) == 1


def test_what_stands_in_a_file_is_read_as_it_stands(tmp_path: Path):
    (tmp_path / "a.csv").write_text("text,label\n00010011,01\n1e5,true\n", encoding="utf-8")
    found = read_sequences(tmp_path / "a.csv", FileColumns(level="characters"))
    assert found.labels == ["01", "true"]
    assert ["".join(item) for item in found.items] == ["00010011", "1e5"]
    table = pd.DataFrame({"gear": ["1", "2", "x", "y"]})
    features = NumberFeatures.fit(table, "the table")
    assert features.encode(pd.DataFrame({"gear": [1.0, None]})).tolist() == [[1, 0, 0, 0], [0] * 4]


def test_columns_that_do_not_vary_and_numbers_that_are_too_large():
    same = NumberFeatures.fit(pd.DataFrame({"a": [0.1] * 7}), "the table")
    assert same.encode(pd.DataFrame({"a": [0.2]})).item() == pytest.approx(0.1)
    with pytest.raises(DataError, match=r"column a goes up to 1e\+200"):
        NumberFeatures.fit(pd.DataFrame({"a": [1e200, 0.0]}), "the table")


@pytest.mark.parametrize("level", ["words", "characters"])
def test_batches_hold_each_sequence_once_with_its_label(level: str):
    task = Classification.from_files(TEXTS, TEXTS, level=level, batch_size=8)
    assert sum(batch.weight for batch in task.epoch(0)) == 20
    found = torch.cat([batch.y for batch in task.epoch(0)])
    assert found.bincount().tolist() == [12, 8]
    one, two = task.epoch(3), task.epoch(3)
    assert all(torch.equal(a.x, b.x) for a, b in zip(one, two, strict=True))
    shares = [sum(len(b.y) for b in task.epoch(0, rank=r, world_size=2)) for r in (0, 1)]
    assert sum(shares) == 20


def test_rare_classes_count_the_same_if_wanted():
    plain, even = (
        Classification.from_files(TEXTS, TEXTS, balanced=balanced, batch_size=20)
        for balanced in (False, True)
    )
    net = net_of(plain)
    (batch,) = plain.epoch(0)
    each = torch.nn.functional.cross_entropy(
        net(batch.x, lengths=batch.lengths)[0], batch.y, reduction="none"
    )
    total, count, _ = plain.loss(net, batch)
    assert count == 20
    assert torch.allclose(total, each.sum())
    weights = torch.where(batch.y == 0, 20 / (2 * 12), 20 / (2 * 8))
    assert torch.allclose(even.loss(net, batch).total, (weights * each).sum())


def test_measures_beside_counts_by_hand():
    task = Classification.from_files(TEXTS, TEXTS)
    net = net_of(task)
    judged = task.on(
        read_sequences(TEXTS.assign(label=["x", "y", "new", "y", "y"] * 4), FileColumns())
    )
    given = [one.label for one in judged.predict(net, judged.read(TEXTS))]
    gold = ["x", "y", "new", "y", "y"] * 4
    scores = judged.evaluate(net, "test")
    assert judged.unseen == ("new",)
    assert scores["accuracy"] == sum(a == b for a, b in zip(gold, given, strict=True)) / 20
    f1 = []
    for name in sorted({*gold, *given}):
        right = sum(a == b == name for a, b in zip(gold, given, strict=True))
        f1.append(2 * right / (gold.count(name) + given.count(name)))
        assert scores[f"f1/{name}"] == pytest.approx(f1[-1])
    assert scores["macro_f1"] == pytest.approx(sum(f1) / len(f1))
    assert scores["f1/new"] == 0
    confused = judged.confusion(net, "test")
    assert sum(sum(row.values()) for row in confused.values()) == 20
    assert confused["new"] == {name: given[2::5].count(name) for name in ("x", "y")}


def test_a_network_judges_a_sequence_alike_in_any_batch():
    task = Classification.from_files(TEXTS, TEXTS)
    net = net_of(task, "attention")
    together = task.predict(net, ["a b", "c", "b a c a"])
    for text, one in zip(["a b", "c", "b a c a"], together, strict=True):
        alone = task.predict(net, [text])[0]
        assert alone.chances == pytest.approx(one.chances, abs=1e-6)
        assert sum(one.chances.values()) == pytest.approx(1)


@pytest.mark.parametrize("options", [{}, {"level": "characters"}, {"by": "id", "label": "kind"}])
def test_a_saved_task_predicts_the_same(options: dict):
    data = STEPS if "by" in options else TEXTS
    task = Classification.from_files(data, data, **options)
    again = task_from_config(task.config())
    net = net_of(task)
    assert again.predict(net, again.read(data)) == task.predict(net, task.read(data))
    assert again.config() == task.config()


def test_a_damaged_description():
    config = Classification.from_files(STEPS, STEPS, by="id", label="kind").config()
    for change in (
        {"form": {"label": 3}},
        {"form": {"colour": "red"}},
        {"features": {"kind": "numbers", "columns": [{"name": "a", "mean": 0, "scale": 0}]}},
        {"features": {"kind": "numbers", "columns": []}},
        {"classes": []},
    ):
        with pytest.raises(ModelError):
            task_from_config({**config, **change})


@pytest.mark.parametrize(
    ("table", "options", "says"),
    [
        (TEXTS.assign(label="x"), {}, "every sequence to learn from has the label x: expected two"),
        (TEXTS.assign(label=None), {}, r"column label, row 1: is empty \(20 such rows\)"),
        (TEXTS[:1], {}, "at least 2 sequences"),
        (TEXTS[:0], {}, "holds no rows"),
        (STEPS.assign(kind=range(6)), {"by": "id", "label": "kind"}, "has the labels 0 and 1"),
        (STEPS[["id", "kind"]], {"by": "id", "label": "kind"}, "no column besides id and kind"),
        (STEPS.assign(speed=np.inf), {"by": "id", "label": "kind"}, "an infinite value"),
        (STEPS.assign(speed=np.nan), {"by": "id", "label": "kind"}, "column speed has no value"),
        (
            STEPS.assign(speed=["1", "2", "n/a?", "3", "4", "5"]),
            {"by": "id", "label": "kind"},
            r"column speed: expected numbers, as most are, found 'n/a\?' \(1 such rows\)",
        ),
        (
            pd.DataFrame(
                {"id": range(60), "a": [f"at {n}" for n in range(60)], "kind": [0, 1] * 30}
            ),
            {"by": "id", "label": "kind"},
            "column a has 60 different texts in 60 rows",
        ),
    ],
)
def test_data_that_cannot_be_learned_from(table: pd.DataFrame, options: dict, says: str):
    with pytest.raises(DataError, match=says):
        Classification.from_files(table, table if len(table) > 1 else None, **options)


def test_columns_that_are_not_there():
    with pytest.raises(ArgumentError, match=r"no column 'labl'.*is it 'label'"):
        Classification.from_files(TEXTS, label="labl")
    with pytest.raises(ArgumentError, match=r"no column 'label'; .* by --label \(the first row"):
        Classification.from_files(TEXTS.rename(columns={"label": "mood"}))
    with pytest.raises(ArgumentError, match=r"no column 'text'; .* by --text or, .* by --by \("):
        Classification.from_files(TEXTS.rename(columns={"text": "review"}))
    trained = Classification.from_files(TEXTS, TEXTS)
    with pytest.raises(ArgumentError, match=r"no column 'text'; it has 'review'$"):
        trained.read(pd.DataFrame({"review": ["a"]}))  # for cello predict, which has no --text
    task = Classification.from_files(STEPS, STEPS, by="id", label="kind")
    with pytest.raises(ArgumentError, match="no column 'gear'"):
        task.predict(net_of(task), task.read(STEPS.drop(columns="gear")))
    with pytest.raises(DataError, match="expected a number, found 'fast'"):
        task.predict(
            net_of(task), task.read(STEPS.astype({"speed": object}).fillna({"speed": "fast"}))
        )
    with pytest.raises(DataError, match="column kind of the true labels"):
        task.on(task.read(STEPS.drop(columns="kind")))


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": np.zeros((3, 2))}, "x must be numbers"),
        ({"z": np.zeros(3)}, "expected the arrays x, y, found z"),
        ({"x": np.zeros((3, 2, 1)), "y": np.array([0, 1, np.nan])}, "y holds NaN"),
        ({"x": np.zeros((3, 2, 1)), "y": np.array([b"a", b"b", b"a"])}, "numbers or texts"),
        ({"x": np.zeros((3, 2, 1)), "y": np.zeros(2)}, r"y must be \[3\]"),
        (
            {"x": np.zeros((3, 2, 1)), "y": np.zeros(3), "lengths": np.array([0, 1, 2])},
            "from 1 to 2",
        ),
    ],
)
def test_arrays_that_are_none(arrays: dict, says: str, tmp_path: Path):
    if "z" not in arrays:
        arrays = {"y": np.zeros(3), **arrays}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=says):
        read_sequences(tmp_path / "a.npz", FileColumns())
    (tmp_path / "b.npz").write_bytes(b"PK\3\4 nothing")
    with pytest.raises(DataError, match="holds no arrays"):
        read_sequences(tmp_path / "b.npz", FileColumns())


def test_labels_that_stand_once_each_are_said():
    table = pd.DataFrame({"text": ["a"] * 20, "label": [f"{n / 7}" for n in range(20)]})
    with pytest.warns(UserWarning, match="each of the 20 labels, such as '0.0', stands once"):
        Classification.from_files(table, table)


def test_the_digits_are_always_parted_alike():
    one, two = digits(), digits()
    assert {name: len(part) for name, part in one._held_out.items()} == {
        "validation": 144,
        "test": 360,
    }
    assert len(one._train) == 1293
    assert all(torch.equal(a, b) for a, b in zip(one.data("test"), two.data("test"), strict=True))


def test_rows_without_a_label_are_left_out_and_texts_that_are_empty_are_read():
    table = TEXTS.assign(label=[None, *TEXTS["label"][1:]])
    with pytest.warns(UserWarning, match="1 row has no label: left out"):
        task = Classification.from_files(table, TEXTS)
    assert len(task._train) == 19
    with pytest.warns(UserWarning, match="1 text is empty"):
        task = Classification.from_files(TEXTS.assign(text=[None, *TEXTS["text"][1:]]), TEXTS)
    assert len(task._train) == 20
    assert task.read(table).labels is None  # a file to predict may have them empty


def test_words_that_mean_missing_elsewhere_are_words_here(tmp_path: Path):
    (tmp_path / "a.csv").write_text("text,label\n" + "null,NA\nNone,b\n" * 3, encoding="utf-8")
    found = read_sequences(tmp_path / "a.csv", FileColumns())
    assert found.labels == ["NA", "b"] * 3
    assert found.items[:2] == [("null",), ("None",)]


def test_the_order_of_steps():
    table = STEPS.assign(step=[1, 0, 2, 0, 1, 0])
    with pytest.warns(UserWarning, match="rows of 2 sequences are not in the order of step"):
        read_sequences(table, FileColumns(label="kind", by="id"))
    found = read_sequences(table, FileColumns(label="kind", by="id", order="step"))
    rows = dict(zip(found.names, found.items, strict=True))
    assert rows["7"]["speed"].tolist() == [3.0, 1.0]
    assert list(rows["7"].columns) == ["speed", "gear"]
    task = Classification.from_files(table, table, by="id", label="kind", order="step")
    assert task_from_config(task.config()).form.order == "step"


def test_answers_that_are_none():
    task = Classification.from_files(TEXTS, TEXTS)
    each = build_network("gru", task.features.encoder(), 4, task.output_size)
    with pytest.raises(ArgumentError, match="an answer at each step, the task needs one"):
        task.loss(each, task.epoch(0)[0])
    for given in ("a text", [3], [None]):
        with pytest.raises(DtypeError, match="a list of texts"):
            task.predict(net_of(task), given)


def test_arrays_of_another_width(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.ones((4, 2, 3)) * np.arange(4)[:, None, None], y=[0, 1] * 2)
    task = Classification.from_files(tmp_path / "a.npz", tmp_path / "a.npz")
    np.save(tmp_path / "x.npy", np.ones((1, 2, 2)))
    with pytest.raises(ArgumentError, match="x has 2 numbers a step, the model reads 3"):
        task.predict(net_of(task), task.read(tmp_path / "x.npy"))


@pytest.mark.parametrize("level", ["words", "characters"])
def test_a_page_shows_texts_and_reads_them_line_by_line(level: str, tmp_path: Path):
    task = Classification.from_files(TEXTS, TEXTS, level=level)
    file = tmp_path / "new.csv"
    rows = ["b a", "two\nlines", *["c"] * 30]
    pd.DataFrame({"text": rows, "label": ["x"] * 32}).to_csv(file, index=False)
    shown = task.text_of(file)
    assert shown.splitlines()[:3] == ["b a", "two lines", "c"]
    assert len(shown.splitlines()) == 20
    read = task.given_text("b a\n \nc")
    assert [one.tokens for one in read] == [["b", "a"] if level == "words" else [*"b a"], ["c"]]
    assert [one.expected for one in read] == [None, None]
    assert torch.equal(read[0].x, task.given(file)[0].x)
    assert task.given_text(task.text_of(None))[0].tokens
    assert len(task.given_text("")) == 1


def test_a_page_shows_rows_as_a_table_and_reads_it_again(tmp_path: Path):
    task = Classification.from_files(STEPS, STEPS, by="id", label="kind")
    STEPS.to_csv(tmp_path / "new.csv", index=False)
    file = task.given(tmp_path / "new.csv")
    shown = task.text_of(tmp_path / "new.csv")
    assert shown.splitlines()[:2] == ["speed,gear,id,kind", "1.0,low,7,1"]
    again = task.given_text(shown)
    assert [one.tokens for one in again] == [["0", "1"], ["0", "1", "2"], ["0"]]
    assert all(torch.equal(a.x, b.x) for a, b in zip(again, file, strict=True))
    assert [one.expected for one in (*file, *again)] == [["1"], ["0"], ["1"]] * 2
    (first,) = task.given_text(task.text_of(None))  # goes up and down, through each category
    assert first.x[:3, 0].tolist() == pytest.approx([0, 1, 0], abs=1e-3)
    assert first.x[:3, 2:].tolist() == torch.eye(3).tolist()
    with pytest.raises(ArgumentError, match="no column 'id'"):
        task.given_text("speed,gear\n1,low\n")


def test_a_page_names_the_sequences_of_arrays(tmp_path: Path):
    x = np.arange(12.0).reshape(2, 3, 2)
    np.savez(tmp_path / "a.npz", x=x, y=[0, 1], lengths=[3, 2])
    task = Classification.from_files(tmp_path / "a.npz", tmp_path / "a.npz")
    shown = task.text_of(tmp_path / "a.npz")
    assert shown.splitlines()[0] == "0,1,sequence,label"
    again = task.given_text(shown)
    assert [len(one.x) for one in again] == [3, 2]
    assert torch.equal(again[1].x, task.given(tmp_path / "a.npz")[1].x)
    assert len(task.given_text(task.text_of(None))) == 1
