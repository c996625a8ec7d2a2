"""Writes nonlinear.json: functions of package kernel and their derivatives, computed with
60 digits by mpmath 1.4 from their definitions; the derivatives by differences.

    python nonlinear.py > nonlinear.json
"""

import json

import mpmath as mp

mp.mp.dps = 60


def sigma(x):
    return 1 / (1 + mp.exp(-x))


def softplus(x):
    return mp.log(1 + mp.exp(x))


def hard(x):
    return min(max(x / 6 + mp.mpf("0.5"), 0), 1)


def gelu_tanh(x):
    return x / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3)))


functions = {
    "Exp": mp.exp,
    "Sigmoid": sigma,
    "Swish": lambda x: x * sigma(x),
    "HardSigmoid": hard,
    "HardSwish": lambda x: x * hard(x),
    "GELU": lambda x: x * mp.ncdf(x),
    "GELUTanh": gelu_tanh,
    "Tanh": mp.tanh,
    "ELU": lambda x: x if x > 0 else mp.expm1(x),
    "Softplus": softplus,
    "Mish": lambda x: x * mp.tanh(softplus(x)),
}
arguments = [-100, -13, -5.5, -2, -0.5, -(2**-12), 0.25, 1.5, 4, 20]


def derivative(f, x):
    with mp.workdps(200):
        return mp.diff(f, mp.mpf(x), h=mp.mpf(10) ** -60)


figures = {"x": arguments}
for name, f in functions.items():
    figures[name] = [float(f(mp.mpf(x))) for x in arguments]
    if name != "Exp":
        figures[name + "Gradient"] = [float(derivative(f, x)) for x in arguments]
print("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in figures.items()) + "\n}")
