"""Makes scipy.json: what SciPy and NumPy say of a few random samples, for drift_test.go.

Made with SciPy 1.17.1 and NumPy 2.4: python scipy.py
"""
import json
import sys

sys.path = sys.path[1:]  # this file has the name of the package
import numpy as np
from scipy import special, stats
from scipy.spatial.distance import pdist, squareform

random = np.random.default_rng(1)


def chi_squared():
    for classes, totals, shift in [(2, (50, 80), 0), (5, (400, 300), 0.5), (12, (5000, 900), 0.1), (3, (40, 40), 3)]:
        weights = random.random(classes) + 0.2
        a = random.multinomial(totals[0], weights / weights.sum())
        weights[0] += shift
        b = random.multinomial(totals[1], weights / weights.sum())
        statistic, p, freedom, _ = stats.chi2_contingency([a, b], correction=False)
        yield {"a": a.tolist(), "b": b.tolist(), "statistic": statistic, "freedom": freedom, "p": p}


def kolmogorov_smirnov():
    for counts, shift, digits in [((30, 40), 0, 12), ((60, 25), 0.5, 12), ((80, 80), 0.2, 1), ((70, 50), 2, 12)]:
        a = np.round(random.normal(size=counts[0]), digits)
        b = np.round(random.normal(shift, size=counts[1]), digits)
        result = stats.ks_2samp(a, b, method="exact")
        size = counts[0] * counts[1] / sum(counts)
        yield {
            "a": a.tolist(), "b": b.tolist(), "statistic": result.statistic,
            "p": special.kolmogorov(np.sqrt(size) * result.statistic), "exact": result.pvalue,
        }


def mean_discrepancy():
    for counts, length, shift in [((6, 9), 3, 0), ((12, 8), 5, 0.7)]:
        a = random.normal(size=(counts[0], length)).astype(np.float32)
        b = random.normal(shift, size=(counts[1], length)).astype(np.float32)
        distances = pdist(np.concatenate([a, b]).astype(np.float64))
        bandwidth = np.median(distances)
        kernel = squareform(np.exp(-(distances**2) / (2 * bandwidth**2)))  # 0 on the diagonal
        m, n = counts
        squared = (
            kernel[:m, :m].sum() / (m * (m - 1)) + kernel[m:, m:].sum() / (n * (n - 1)) - 2 * kernel[:m, m:].mean()
        )
        yield {"a": a.tolist(), "b": b.tolist(), "squared": squared, "bandwidth": bandwidth}


with open("scipy.json", "w") as file:
    cases = {f.__name__: list(f()) for f in (chi_squared, kolmogorov_smirnov, mean_discrepancy)}
    json.dump(cases, file, indent=None)
    file.write("\n")
