"""Makes scikit_learn.json: what scikit-learn's metrics say of a few random answers, for
scikit_learn_test.go. Each case has classes that are labels only, predictions only,
both, or neither.

Made with scikit-learn 1.9.1, NumPy 2.4.6: python scikit_learn.py
"""
import json
import os

import numpy as np
from sklearn import metrics

random = np.random.default_rng(15)


def top_k(labels, probabilities, k):
    classes = probabilities.shape[1]
    if classes == 2:  # for which scikit-learn wants the second column alone
        return metrics.top_k_accuracy_score(labels, probabilities[:, 1], k=k, labels=[0, 1])
    return metrics.top_k_accuracy_score(labels, probabilities, k=k, labels=np.arange(classes))


def case(name, classes, labels, never=()):
    """labels are the pictures' classes; the classes in never are never the first answer."""
    logits = random.normal(size=(len(labels), classes))
    logits[np.arange(len(labels)), labels] += 1.5
    logits[:, list(never)] -= 5
    exact = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    # Whole numbers of 1/2**20, at least one: the file then holds exactly the
    # probabilities that are measured, and each row sums to 1.
    parts = np.floor(exact * (2**20 - classes)).astype(int) + 1
    parts[np.arange(len(labels)), parts.argmax(axis=1)] += 2**20 - parts.sum(axis=1)
    assert all(len(set(row)) == classes for row in parts.tolist()), "ties, which top-k could break in two ways"
    probabilities = parts / 2**20
    predicted = probabilities.argmax(axis=1)
    everything = np.arange(classes)
    occurring = sorted(set(labels) | set(predicted.tolist()))
    precision, recall, f1, count = metrics.precision_recall_fscore_support(
        labels, predicted, labels=everything, zero_division=0
    )
    return {
        "name": name,
        "classes": classes,
        "labels": list(map(int, labels)),
        "parts": parts.tolist(),  # probabilities times 2**20
        "occurring": list(map(int, occurring)),
        "accuracy": metrics.accuracy_score(labels, predicted),
        "macro_f1": metrics.f1_score(labels, predicted, average="macro"),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f1": f1.tolist(),
        "count": count.tolist(),
        "confusion": metrics.confusion_matrix(labels, predicted, labels=occurring).tolist(),
        "top_k": {str(k): top_k(labels, probabilities, k) for k in (1, 2, 3, 5) if k == 1 or k < classes},
        "log_loss": metrics.log_loss(labels, probabilities, labels=everything),
    }


cases = [
    case("all classes occur", 4, random.integers(0, 4, 40)),
    case("predicted without pictures", 6, random.integers(0, 3, 30)),
    case("pictures that are never predicted", 4, random.integers(0, 4, 30), never=[2]),
    case("two classes", 2, random.integers(0, 2, 12)),
    case("one picture", 3, np.array([1])),
    case("neither labels nor predictions", 7, random.choice([0, 2, 5], 25), never=[3, 6]),
]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "scikit_learn.json"), "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
