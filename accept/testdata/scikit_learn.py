"""Makes scikit_learn.json: what scikit-learn says of random scores of accepted and of other
pictures, for scikit_learn_test.go.

Made with scikit-learn 1.9.1, NumPy 2.4.6: python scikit_learn.py
"""
import json
import os

import numpy as np
from sklearn import calibration, metrics

random = np.random.default_rng(16)


def case(name, accepted, others):
    scores = np.concatenate([accepted, others])
    shown = np.concatenate([np.ones(len(accepted)), np.zeros(len(others))])
    made = {
        "name": name,
        "accepted": accepted.tolist(),
        "others": others.tolist(),
        "auroc": metrics.roc_auc_score(shown, scores),
    }
    # Platt's fit weighs each picture alike, where garb weighs each group alike: groups of
    # one size have the same fit.
    if len(accepted) == len(others):
        fit = calibration._SigmoidCalibration().fit(scores, shown)
        made["slope"], made["offset"] = -float(fit.a_), -float(fit.b_)
    return made


def rounded(values):
    """Values with many ties."""
    return np.round(values * 2) / 2


cases = [
    case("far apart", random.normal(4, 1, 40), random.normal(-4, 1, 40)),
    case("overlapping", random.normal(1, 1, 60), random.normal(0, 2, 60)),
    case("ties", rounded(random.normal(1, 1, 50)), rounded(random.normal(0, 1, 50))),
    case("large scores", random.normal(3000, 500, 30), random.normal(2500, 500, 30)),
    case("unequal groups", random.normal(1, 1, 90), random.normal(0, 1, 7)),
    case("the wrong way round", random.normal(-1, 1, 20), random.normal(1, 1, 31)),
    case("all equal", np.ones(5), np.ones(8)),
]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "scikit_learn.json"), "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
