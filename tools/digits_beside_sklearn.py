"""The handwritten digits, read row by row, beside two models of scikit-learn on the same split.

    python tools/digits_beside_sklearn.py

Accuracy on the 360 test images, mean and range over seeds; each network is the one that was best on
validation. The logistic regression and the forest see all 64 numbers of an image at once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable

import torch

from cello.tasks import build_network
from cello.tasks.classification import digits
from cello.train import Options, fit

SEEDS = range(5)
NETWORKS = (("elman", "last"), ("gru", "last"), ("lstm", "last"), ("bi-gru", "attention"))
EPOCHS = 40


def told(name: str, accuracies: Iterable[float]) -> str:
    """A row of the table."""
    found = [100 * accuracy for accuracy in accuracies]
    return f"| {name} | {sum(found) / len(found):.1f} % | {min(found):.1f} to {max(found):.1f} |"


def network(kind: str, pool: str, seed: int) -> float:
    """The test accuracy of a network."""
    task = digits(seed=seed)
    torch.manual_seed(seed)
    net = build_network(kind, task.features.encoder(), 64, task.output_size, pool=pool)
    options = Options(epochs=EPOCHS, seed=seed, schedule="cosine")
    with tempfile.TemporaryDirectory() as folder:
        return fit(task, net, options, folder, progress=False).test["accuracy"]


def others() -> dict[str, list[float]]:
    """The test accuracy of scikit-learn's models."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    task = digits()
    splits = {}
    for split in ("train", "validation", "test"):
        tensors = list(task.data(split))
        x = torch.stack(tensors[::2]).flatten(1).numpy()
        splits[split] = x, torch.stack(tensors[1::2]).numpy()
    linear = LogisticRegression(max_iter=5000).fit(*splits["train"])
    forests = [RandomForestClassifier(random_state=s).fit(*splits["train"]) for s in SEEDS]
    return {
        "logistic regression": [linear.score(*splits["test"])],
        "random forest, 100 trees": [forest.score(*splits["test"]) for forest in forests],
    }


def main() -> None:
    """Print the table."""
    print("| model | accuracy | seeds |\n|---|---|---|")
    for name, found in others().items():
        print(told(name, found))
    for kind, pool in NETWORKS:
        print(
            told(f"{kind}, 64 units, {pool}", [network(kind, pool, seed) for seed in SEEDS]),
            flush=True,
        )


if __name__ == "__main__":
    main()
