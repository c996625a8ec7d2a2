"""Writes cleanlab.json: what cleanlab makes of small sets of probabilities and labels.

    python mislabel/testdata/make.py > mislabel/testdata/cleanlab.json

Made with cleanlab 2.9.0 and NumPy 2.4.6. Probabilities are rounded to 4 digits and sum to 1.
"candidates" are the off-diagonal pictures of the confident joint without those whose label is
the most probable class, as cleanlab.filter.find_label_issues(filter_by="confident_learning")
gives them.

cleanlab counts a picture that reaches several thresholds for its most probable class, the
paper for the most probable of those whose thresholds are reached. "collisions" lists the
pictures where the two differ. "weaker" lists the candidates whose label is more probable than
the class that they are counted for; garb's rule keeps these back.
"""

import json

import cleanlab
import numpy as np
from cleanlab.count import compute_confident_joint, get_confident_thresholds
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

assert cleanlab.__version__ == "2.9.0"


def case(name, n, k, wrong, sharpness, seed, shares=None):
    random = np.random.default_rng(seed)
    true = random.choice(k, size=n, p=shares)
    labels = np.where(random.random(n) < wrong, random.integers(k, size=n), true)
    labels[:k] = np.arange(k)
    logits = random.normal(size=(n, k)) + sharpness * np.eye(k)[true]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    p = np.round(p, 4)
    p[:, 0] = np.round(p[:, 0] + 1 - p.sum(axis=1), 4)
    assert (p >= 0).all()

    thresholds = get_confident_thresholds(labels, p)
    joint = compute_confident_joint(labels, p, calibrate=False)
    issues = find_label_issues(labels, p, filter_by="confident_learning", n_jobs=1)
    reached = p >= thresholds - 1e-6
    among = np.where(reached, p, -1).argmax(axis=1)
    collisions = np.flatnonzero((reached.sum(axis=1) > 1) & (among != p.argmax(axis=1)))
    counted = np.where(reached.sum(axis=1) > 1, p.argmax(axis=1), reached.argmax(axis=1))
    rows = np.arange(n)
    weaker = np.flatnonzero(issues & (p[rows, counted] <= p[rows, labels]))
    scores = {
        ours: get_label_quality_scores(labels, p, method=theirs, adjust_pred_probs=False)
        for ours, theirs in [
            ("self-confidence", "self_confidence"),
            ("margin", "normalized_margin"),
            ("weighted-entropy", "confidence_weighted_entropy"),
        ]
    }
    return {
        "name": name,
        "probabilities": p.tolist(),
        "labels": labels.tolist(),
        "thresholds": thresholds.tolist(),
        "joint": joint.tolist(),
        "candidates": np.flatnonzero(issues).tolist(),
        "collisions": collisions.tolist(),
        "weaker": weaker.tolist(),
        "scores": {name: values.tolist() for name, values in scores.items()},
    }


print(json.dumps([
    case("two classes", 40, 2, 0.2, 2.0, 1),
    case("five classes", 60, 5, 0.2, 2.0, 2),
    case("uneven classes", 60, 4, 0.3, 1.5, 3, [0.7, 0.15, 0.1, 0.05]),
    case("a poor model", 50, 3, 0.3, 0.5, 4),
    case("several thresholds reached", 60, 6, 0.5, 1.0, 6, [0.5, 0.3, 0.1, 0.04, 0.03, 0.03]),
]))
