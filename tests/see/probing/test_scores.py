from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from cello.see.probing import scores
from cello.see.probing.scores import Auc, Correlation, auc


def data(steps: int, units: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.rand(steps) < 0.3
    values = torch.randn(steps, units) + torch.linspace(-2, 2, units) * labels[:, None]
    return values, labels


def test_the_area_is_that_of_scikit_learn():
    values, labels = data(500)
    values[:, 0] = values[:, 0].round()  # ties
    expected = [roc_auc_score(labels.numpy(), column) for column in values.T.numpy()]
    np.testing.assert_allclose(auc(values, labels).numpy(), expected, rtol=1e-12)


def test_without_both_labels_there_is_no_area():
    assert auc(torch.randn(5, 2), torch.zeros(5, dtype=torch.bool)).isnan().all()
    values = torch.randn(5, 2)
    values[3, 1] = torch.nan
    found = auc(values, torch.tensor([True, False, True, False, True]))
    assert found.isnan().tolist() == [False, True]


@pytest.mark.parametrize("steps", [1000, 50_000])
def test_areas_over_pieces(steps: int):
    values, labels = data(steps)
    score = Auc()
    for part, own in zip(values.split(700), labels.split(700), strict=True):
        score.add(part, own)
    expected = auc(values, labels)
    assert (score.error == 0) == (steps == 1000)
    assert score.error < 0.002
    assert (score.result() - expected).abs().max().item() <= score.error
    assert (not score.kept) == (steps > scores.EXACT)


def test_the_stated_error_covers_a_stream_that_drifts():
    values, labels = data(80_000)
    values += torch.linspace(0, 30, 80_000)[:, None]
    score = Auc()
    for part, own in zip(values.split(5000), labels.split(5000), strict=True):
        score.add(part, own)
    apart = (score.result() - auc(values, labels)).abs().max().item()
    assert apart <= score.error


def test_a_unit_that_was_ever_nan_has_no_area(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scores, "FEW", 100)
    monkeypatch.setattr(scores, "ROOM", 100)
    values, labels = data(1000, units=2)
    values[700, 1] = torch.nan
    score = Auc()
    for part, own in zip(values.split(90), labels.split(90), strict=True):
        score.add(part, own)
        assert sum(len(kept) for kept, _ in score.kept) <= 100
    assert score.result().isnan().tolist() == [False, True]
    assert score.histograms.sum((0, 2)).tolist() == [1000, 1000]


def test_correlations_over_pieces_are_those_of_numpy():
    values = torch.randn(1000, 3) + 1000
    labels = values[:, 0] * 0.5 + torch.randn(1000)
    score = Correlation()
    for part, own in zip(values.split(130), labels.split(130), strict=True):
        score.add(part, own)
    expected = np.corrcoef(values.double().numpy().T, labels.double().numpy())[-1, :-1]
    np.testing.assert_allclose(score.result().numpy(), expected, rtol=1e-9)


def test_a_unit_that_never_changes_has_no_correlation():
    score = Correlation()
    for length in (10, 0, 7):
        score.add(torch.full((length, 1), 0.1, dtype=torch.float64), torch.randn(length))
    assert score.result().isnan().all()
