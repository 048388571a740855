"""Softmax regression over scikit-learn's digits (1,797 real 8x8 images): weights as .npz, held-out images as a canary set.

usage: digits.py OUT     run with the python of the quick start's venv; writes OUT/{first,better,mislabelled}.npz and OUT/set.jsonl
"""
import json
import sys
import warnings
from pathlib import Path

import numpy
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

HELD_OUT = 60


def main(out: Path) -> None:
    warnings.filterwarnings("ignore")
    images, labels = load_digits(return_X_y=True)
    train_x, held_x, train_y, held_y = train_test_split(images, labels, test_size=HELD_OUT, random_state=7, stratify=labels)
    for name, x, y in (("first", train_x[:150], train_y[:150]), ("better", train_x, train_y), ("mislabelled", train_x, (train_y + 1) % 10)):
        model = LogisticRegression(max_iter=200).fit(x, y)
        numpy.savez(out / f"{name}.npz", weights=model.coef_.T.astype(numpy.float32), bias=model.intercept_.astype(numpy.float32), repeats=1)
    with numpy.load(out / "better.npz") as arrays:
        numpy.savez(out / "slow.npz", **{**arrays, "repeats": 20_000})
    items = ({"id": str(number), "input": image.tolist(), "label": int(label)} for number, (image, label) in enumerate(zip(held_x, held_y)))
    (out / "set.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
