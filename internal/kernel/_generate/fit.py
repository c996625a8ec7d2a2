"""Fits the polynomials in nonlinear.go: by Remez's exchange in the relative error of what
they are for, their coefficients then rounded to float32. Needs mpmath (1.4 was used).
"""

import struct

import mpmath as mp

mp.mp.dps = 30
GRID = 300


def single(x):
    return mp.mpf(struct.unpack("f", struct.pack("f", float(x)))[0])


def fit(name, f, weight, low, high, degree):
    """Minimises the largest |weight(x)·(f(x) − Σ c[k]·x^k)|, and prints the coefficients."""
    low, high, n = mp.mpf(low), mp.mpf(high), degree + 1
    middle, half = (low + high) / 2, (high - low) / 2
    points = [middle - half * mp.cos(mp.pi * i / GRID) for i in range(GRID + 1)]
    values = [f(x) for x in points]

    def errors(c):
        return [weight(x) * (v - mp.polyval(c[::-1], x)) for x, v in zip(points, values)]

    reference = [middle - half * mp.cos(mp.pi * (i + mp.mpf(1) / 2) / (n + 1)) for i in range(n + 1)]
    for _ in range(6):
        a, b = mp.matrix(n + 1, n + 1), mp.matrix(n + 1, 1)
        for i, x in enumerate(reference):
            for k in range(n):
                a[i, k] = x**k
            a[i, n] = (-1) ** i / weight(x)
            b[i] = f(x)
        c = list(mp.lu_solve(a, b))[:n]
        # The next reference: the largest error between each two changes of sign.
        e, extrema = errors(c), []
        for i, v in enumerate(e):
            if not extrema or (v >= 0) != (e[extrema[-1]] >= 0):
                extrema.append(i)
            elif abs(v) > abs(e[extrema[-1]]):
                extrema[-1] = i
        while len(extrema) > n + 1:
            extrema.pop(0 if abs(e[extrema[0]]) < abs(e[extrema[-1]]) else -1)
        if len(extrema) < n + 1:
            break
        reference = [points[i] for i in extrema]
    rounded = [single(v) for v in c]
    worst = max(abs(v) for v in errors(rounded))
    print(f"{name}: 2^{float(mp.log(worst, 2)):.1f}", [mp.nstr(v, 9) for v in rounded])


# (eʳ − 1 − r)/r²; the small summand keeps the weight from zero.
limit = mp.log(2) / 2 * mp.mpf("1.001")
fit("expPolynomial", lambda r: sum(r**k / mp.factorial(k + 2) for k in range(20)),
    lambda r: (r * r + mp.mpf("1e-4")) / mp.exp(r), -limit, limit, 4)

# (atanh(f)/f − 1)/f² in z = f².
fit("logPolynomial", lambda z: sum(z**k / (2 * k + 3) for k in range(40)),
    lambda z: (z + mp.mpf("1e-6")) / (1 + z / 3), 0, mp.mpf(1) / 9, 3)

# The ratio of Mills over u = 1/(a+3), in t = slope·u + shift.
lowest, highest = 1 / mp.mpf("17.7"), mp.mpf(1) / 3
slope = single(2 / (highest - lowest))
shift = single(-(highest + lowest) / (highest - lowest))
print("tailSlope, tailShift:", mp.nstr(slope, 9), mp.nstr(shift, 9))


@mp.memoize
def tail(t):
    u = (t - shift) / slope
    a = 1 / u - 3
    return mp.erfc(a / mp.sqrt(2)) * mp.exp(a * a / 2) / 2 / u


fit("tailPolynomial", tail, lambda t: 1 / tail(t), slope * lowest + shift, slope * highest + shift, 10)
