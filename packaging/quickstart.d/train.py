"""Trains the versions of the story from scikit-learn's digits (1,797 real 8x8 images) and writes each as a bundle.

usage: train.py OUT LIMIT_MS      run with the venv's python; prints one line of JSON per version
"""

import json
import shutil
import sys
import time
import warnings
from pathlib import Path

import joblib
import numpy
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).resolve().parent
CANARY_ITEMS = 200
SKLEARN = "mlserver_sklearn.SKLearnModel"


def pipeline(classifier) -> Pipeline:
    return Pipeline([("scale", StandardScaler()), ("classify", classifier)])


def copies_for(model: Pipeline, image: numpy.ndarray, seconds: float) -> int:
    """How many single predictions take `seconds` of this machine's processor: v4 is to be too slow on a fast one too."""
    started, count = time.process_time(), 0
    while time.process_time() - started < 0.3:
        model.predict_proba(image.reshape(1, -1))
        count += 1
    return max(10, int(count * seconds / (time.process_time() - started)))


def write_bundle(out: Path, label: str, canary: list[str], *, model: Pipeline | None = None, runtime: str = "", extra: dict | None = None):
    """One directory: model file, MLServer's settings, held-out items, and a runtime of its own where it brings one."""
    folder = out / f"v{label}"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "canary").mkdir(parents=True)
    implementation = SKLEARN
    if runtime:
        # a name of its own for each version: Python keeps imported modules by name
        module = f"digits_v{label}"
        source = (HERE / "runtimes" / f"{runtime}.py").read_text()
        (folder / f"{module}.py").write_text(source)
        implementation = f"{module}.{runtime.capitalize()}Model"
    parameters = {"uri": "./model.joblib"} if model is not None else {}
    parameters["extra"] = {"predict_fn": "predict_proba", **(extra or {})}
    if model is not None:
        joblib.dump(model, folder / "model.joblib", compress=3)
    settings = {"name": "digits", "implementation": implementation, "parameters": parameters}
    (folder / "model-settings.json").write_text(json.dumps(settings, indent=1) + "\n")
    (folder / "canary" / "digits.jsonl").write_text("".join(canary))
    (folder / "modelguard-version.yaml").write_text(f'label: "{label}"\n')


def main(out: Path, limit_ms: float) -> None:
    warnings.filterwarnings("ignore")  # a network that has not converged after so few rounds is good enough here
    images, labels = load_digits(return_X_y=True)
    train_x, held_x, train_y, held_y = train_test_split(images, labels, test_size=CANARY_ITEMS, random_state=7, stratify=labels)
    canary = [json.dumps({"id": f"d{index}", "input": image.tolist(), "label": int(label)}) + "\n"
              for index, (image, label) in enumerate(zip(held_x, held_y))]

    few = pipeline(LogisticRegression(max_iter=200)).fit(train_x[:90], train_y[:90])
    all_ = pipeline(LogisticRegression(max_iter=200)).fit(train_x, train_y)
    wrong_order = numpy.random.default_rng(3).permutation(train_y)
    wrong = pipeline(LogisticRegression(max_iter=200)).fit(train_x, wrong_order)
    network = pipeline(MLPClassifier((64,), max_iter=60, random_state=1)).fit(train_x, train_y)

    write_bundle(out, "1", canary, model=few)
    write_bundle(out, "2", canary, model=all_)
    write_bundle(out, "3", canary, model=wrong)
    copies = copies_for(all_, held_x[0], 3.0 * limit_ms / 1000.0)
    write_bundle(out, "4", canary, model=all_, runtime="augmented", extra={"copies": copies})
    write_bundle(out, "5", canary, model=all_, runtime="overflowing")
    write_bundle(out, "5b", canary, runtime="unloadable")
    write_bundle(out, "6", canary, model=network)
    for label, model in {"1": few, "2": all_, "3": wrong, "6": network}.items():
        print(json.dumps({"label": label, "trained_score": float(model.score(held_x, held_y))}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
