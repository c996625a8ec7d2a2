"""Makes PyTorch modules by seed, exports each with both of PyTorch's exporters, and writes
what PyTorch answers, for TestTorchModules.

    python torch_modules.py FOLDER FIRST COUNT [NETWORK ...]

writes FOLDER/SEED-script.onnx, FOLDER/SEED-dynamo.onnx and FOLDER/modules.json, and the
same for each named network of torchvision with random weights. What an exporter itself
refuses is drawn anew.
"""
import json
import math
import os
import random
import sys
import warnings

import torch
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")
os.environ["TORCH_LOGS"] = "-all"
torch.set_num_threads(1)


class Of(nn.Module):
    """A module of a function."""

    def __init__(self, name, function):
        super().__init__()
        self.name, self.function = name, function

    def forward(self, x):
        return self.function(x)


class Residual(nn.Module):
    def __init__(self, body, shortcut, after, scale):
        super().__init__()
        self.body, self.shortcut, self.after, self.scale = body, shortcut, after, scale

    def forward(self, x):
        return self.after(self.shortcut(x) + self.body(x) * self.scale)


class Gated(nn.Module):
    """A map and one value for each position."""

    def __init__(self, gate, operation):
        super().__init__()
        self.gate, self.operation = gate, operation

    def forward(self, x):
        return self.operation(x, self.gate(x))


class Attention(nn.Module):
    """Squeeze-and-excitation."""

    def __init__(self, c, gate, dense):
        super().__init__()
        self.gate, self.dense = gate, dense
        inner = max(1, c // 2)
        self.layers = nn.Sequential(nn.Linear(c, inner), nn.ReLU(), nn.Linear(inner, c)) if dense else nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, inner, 1), nn.ReLU(), nn.Conv2d(inner, c, 1))

    def forward(self, x):
        if not self.dense:
            return x * self.gate(self.layers(x))
        b, c = x.shape[:2]
        return x * self.gate(self.layers(x.mean((2, 3)))).view(b, c, 1, 1)


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's padding, which follows from the size of the map."""

    def forward(self, x):
        pads = []
        for size, kernel, stride in zip(x.size()[:1:-1], self.kernel_size[::-1], self.stride[::-1]):
            if isinstance(size, torch.Tensor):  # as it is traced
                need = torch.clamp(((size / stride).ceil() - 1) * stride + kernel - size, min=0)
            else:
                need = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            pads += [need // 2, need - need // 2]
        return super().forward(F.pad(x, pads))


class StandardConv(nn.Conv2d):
    """A convolution of weights that are normalized as it is called."""

    def forward(self, x):
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        spread = self.weight.std((1, 2, 3), keepdim=True, unbiased=False)
        return self._conv_forward(x, (self.weight - mean) / (spread + 1e-5), self.bias)


class Expanded(nn.Module):
    """An attention that is repeated to the size of the map."""

    def __init__(self, c):
        super().__init__()
        self.layer = nn.Conv2d(c, c, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.layer(x.mean((2, 3), keepdim=True))).expand_as(x)


class Branches(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


def shuffle(groups):
    def function(x):
        b, c, h, w = x.shape
        return x.view(b, groups, c // groups, h, w).transpose(1, 2).reshape(b, c, h, w)

    return function


def to_multiple(of):
    """Pads a map to a multiple of so many rows and columns."""
    def function(x):
        h, w = x.shape[2:]
        return F.pad(x, (0, (of - w % of) % of, 0, (of - h % of) % of))

    return function


def flat_by_sizes(x):
    b, c, h, w = x.shape
    return x.reshape(b, c * h * w)


def split_and_joined(x):
    b, c, h, w = x.size()
    return x.view(b, 1, c, -1).unsqueeze(1).squeeze(2).reshape(b, c, h, w)


# Activations as networks' own code has them.
WRITTEN = {
    "GELU by erf": lambda x: x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0))),
    "GELU by erf, halved last": lambda x: 0.5 * (x * (1 + torch.erf(x / 1.4142135623730951))),
    "GELU by tanh": lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3)))),
    "GELU by products": lambda x: 0.5 * x * (1 + torch.tanh(x * 0.7978845608 * (1 + 0.044715 * x * x))),
    "hard swish": lambda x: x * F.relu6(x + 3) / 6,
    "hard swish by a gate": lambda x: x * (F.relu6(x + 3) / 6),
    "hard swish by clamp": lambda x: x * torch.clamp(x / 6 + 0.5, 0, 1),
    "hard sigmoid": lambda x: F.relu6(x + 3.0) * (1 / 6),
    "swish": lambda x: torch.sigmoid(x) * x,
    "mish": lambda x: x * torch.tanh(F.softplus(x)),
    "square": lambda x: x**2,
    "of a middle value": lambda x: (lambda gate: x * gate + gate)(F.relu6(x + 3) / 6),
}


class Drawn:
    """A module as it is drawn: maps of self.channels channels, of self.size pixels a side."""

    def __init__(self, seed, attempt):
        self.random = random.Random(f"{seed}/{attempt}")
        torch.manual_seed(1000 * seed + attempt)
        self.channels, self.size, self.kinds = 3, self.random.choice([15, 16, 20, 23]), []
        self.plain = self.chance(0.7)  # has nothing that few networks have

    def chance(self, p):
        return self.random.random() < p

    def one(self, *choices):
        return self.random.choice(choices)

    def said(self, kind, module):
        self.kinds.append(kind)
        return module

    def activation(self):
        name = self.one("ReLU", "ReLU", "ReLU6", "LeakyReLU", "SiLU", "Sigmoid", "Tanh", "Hardswish")
        if not self.plain and self.chance(0.4):
            name = self.one("Hardsigmoid", "GELU", "ELU", "Softplus", "Mish", "PReLU", "clamp", "SELU")
        if self.chance(0.15):
            name = self.one(*WRITTEN)
            return self.said(name, Of(name, WRITTEN[name]))
        if name == "clamp":
            return self.said(name, Of(name, lambda x: x.clamp(-0.5, 2)))
        options = {"LeakyReLU": {"negative_slope": self.one(0.01, 0.2)}, "GELU": {"approximate": self.one("none", "tanh")}}
        return self.said(name, getattr(nn, name)(**options.get(name, {})))

    def norm(self, c):
        if not self.plain and self.chance(0.4):
            return self.own_norm(c)
        n = self.said("BatchNorm2d", nn.BatchNorm2d(c, eps=self.one(1e-5, 1e-3), affine=self.chance(0.9)))
        n.running_mean.normal_(0, 0.3)
        n.running_var.uniform_(0.5, 1.5)
        if n.affine:
            nn.init.uniform_(n.weight, 0.5, 1.5)
            nn.init.normal_(n.bias, 0, 0.3)
        return n

    def own_norm(self, c):
        """A normalization by the picture's own statistics."""
        kind = self.one("GroupNorm", "InstanceNorm2d", "LayerNorm")
        eps = self.one(1e-5, 1e-3)
        if kind == "GroupNorm":
            n = nn.GroupNorm(self.one(*[g for g in (1, 2, 3, c) if c % g == 0]), c, eps, self.chance(0.8))
        elif kind == "InstanceNorm2d":
            n = nn.InstanceNorm2d(c, eps, affine=self.chance(0.6))
        else:
            n = nn.LayerNorm(c, eps)
        if n.weight is not None:
            nn.init.uniform_(n.weight, 0.5, 1.5)
            nn.init.normal_(n.bias, 0, 0.3)
        if kind == "LayerNorm":
            return self.said(kind, nn.Sequential(Of("last", lambda x: x.permute(0, 2, 3, 1)), n, Of("first", lambda x: x.permute(0, 3, 1, 2))))
        return self.said(kind, n)

    def conv(self, into=None, stride=1):
        c = self.channels
        kernel = self.one(1, 3, 3, 5)
        groups = self.one(1, 1, c, *(g for g in range(2, c) if c % g == 0))
        into = into or groups * self.one(1, 2, 3) * (1 if groups > 1 else 2)
        if into % groups:
            groups = 1
        dilation = self.one((2, 2), (1, 2), (3, 1)) if kernel == 3 and self.chance(0.2) else (1, 1)
        padding = "same" if stride == 1 and self.chance(0.15) else tuple(d * (kernel // 2) for d in dilation)
        if stride == 1 and padding != "same" and self.size > 12 and not into and self.chance(0.1):
            stride = self.one((1, 2), (2, 1))
        mode = self.one("reflect", "replicate", "circular") if kernel == 3 and padding != "same" and self.chance(0.1) else "zeros"
        self.said("Conv2d" + (" grouped" if groups > 1 else "") + (" dilated" if dilation != (1, 1) else ""), None)
        self.channels = into
        bias = self.chance(0.5)
        if dilation == (1, 1) and self.chance(0.15):
            return self.said("same", SameConv(c, into, kernel, stride, groups=groups, bias=bias))
        if not self.plain and self.chance(0.1):
            return self.said("standardized", StandardConv(c, into, kernel, stride, padding, dilation, groups, bias))
        return self.said("border " + mode, nn.Conv2d(c, into, kernel, stride, padding, dilation, groups, bias, mode))

    def block(self, into=None, stride=1):
        layers = [self.conv(into, stride)]
        if self.chance(0.7):
            layers.append(self.norm(self.channels))
        if self.chance(0.8):
            layers.append(self.activation())
        return nn.Sequential(*layers)

    def pool(self):
        self.size //= 2
        if self.chance(0.5):
            kernel = self.one(2, 3)
            return self.said("MaxPool2d", nn.MaxPool2d(kernel, 2, self.one(0, 1) if kernel == 3 else 0, ceil_mode=self.chance(0.3)))
        kernel = self.one(2, 3)
        return self.said("AvgPool2d", nn.AvgPool2d(kernel, 2, self.one(0, 1) if kernel == 3 else 0, self.chance(0.2), self.chance(0.5)))

    def residual(self):
        c = self.channels
        body = nn.Sequential(self.block(), self.block(c))
        shortcut = self.one(nn.Identity(), nn.BatchNorm2d(c), nn.Conv2d(c, c, 1))
        return self.said("residual", Residual(body, shortcut, self.activation(), self.one(1, 1, 0.5)))

    def attention(self):
        gate = self.one(nn.Sigmoid(), nn.Hardsigmoid())
        return self.said("attention", Attention(self.channels, gate, self.chance(0.4)))

    def joined(self):
        c, branches, total = self.channels, [], 0
        for _ in range(self.one(2, 3)):
            self.channels = c
            branches.append(nn.Identity() if self.chance(0.2) else self.block())
            total += self.channels
        self.channels = total
        return self.said("cat", Branches(*branches))

    def other(self):
        c = self.channels
        kind = self.one("ZeroPad2d", "arithmetic", "Dropout2d", "border", "to a multiple", "view", "Expanded")
        if not self.plain:
            kind = self.one("Upsample", "shuffle", "split", "transposed", "crop", "maximum", "where")
        if kind == "ZeroPad2d":
            return self.said(kind, nn.ZeroPad2d(self.one((1, 1, 1, 1), (0, 1, 0, 1), (2, 0, 1, 0))))
        if kind == "border":
            pads = self.one((1, 1, 1, 1), (2, 0, 1, 2), (0, 3, 0, 0))
            return self.said(kind, self.one(nn.ReflectionPad2d, nn.ReplicationPad2d, nn.CircularPad2d)(pads))
        if kind == "to a multiple":
            return self.said(kind, Of(kind, to_multiple(self.one(2, 4, 8))))
        if kind == "view":
            return self.said(kind, Of(kind, split_and_joined))
        if kind == "Expanded":
            return self.said(kind, Expanded(c))
        if kind == "Upsample":
            self.size *= 2
            return self.said(kind, nn.Upsample(scale_factor=2, mode=self.one("nearest", "bilinear")))
        if kind == "crop":
            self.size -= 2
            return self.said(kind, Of(kind, self.one(lambda x: x[:, :, 1:-1, 2:], lambda x: x[..., :-2, 1:-1])))
        if kind == "maximum":
            return self.said(kind, Of(kind, self.one(lambda x: torch.maximum(x, x.sigmoid()), lambda x: torch.minimum(x, x.mean((2, 3), keepdim=True)))))
        if kind == "where":  # spatial attention
            gate, op = nn.Conv2d(c, 1, 1), self.one(torch.mul, torch.add, torch.sub)
            return self.said(kind, Residual(nn.Sequential(gate, nn.Sigmoid()), nn.Identity(), nn.Identity(), 1) if op == torch.add else Gated(gate, op))
        if kind == "shuffle" and c % 2 == 0:
            return self.said(kind, Of(kind, shuffle(2)))
        if kind == "split" and c % 2 == 0:
            if self.chance(0.5):
                return self.said("chunk", Of(kind, lambda x: torch.cat(x.chunk(2, 1)[::-1], 1)))
            return self.said("slice", Of(kind, lambda x: torch.cat([x[:, c // 2 :], x[:, : c // 2]], 1)))
        if kind == "arithmetic":
            mean = torch.rand(1, c, 1, 1)
            return self.said(kind, self.one(Of(kind, lambda x: (x - mean) / 0.7), Of(kind, lambda x: x * 1.5 + 0.25), Of(kind, lambda x: 1 - x)))
        if kind == "transposed":
            return self.said(kind, Of(kind, lambda x: x.permute(0, 3, 2, 1).permute(0, 3, 2, 1) if self.size % 2 else x.transpose(2, 3)))
        return self.said("Dropout2d", nn.Dropout2d(0.3))

    def head(self):
        c = self.channels
        kind = self.one("adaptive", "adaptive", "mean", "amax", "flatten", "AdaptiveMaxPool2d", "by sizes")
        layers = {
            "adaptive": lambda: [nn.AdaptiveAvgPool2d(1), nn.Flatten()],
            "mean": lambda: [Of(kind, lambda x: x.mean([2, 3]))],
            "amax": lambda: [Of(kind, lambda x: x.amax((2, 3)))],
            "by sizes": lambda: [nn.AdaptiveAvgPool2d(1), Of(kind, flat_by_sizes)],
            "AdaptiveMaxPool2d": lambda: [nn.AdaptiveMaxPool2d(1), nn.Flatten(1)],
            "flatten": lambda: [nn.AdaptiveAvgPool2d((2, 2)) if self.chance(0.3) else nn.MaxPool2d(2), Of(kind, lambda x: torch.flatten(x, 1))],
        }[kind]()
        self.said("head " + kind, None)
        if self.chance(0.3):
            layers.append(nn.Dropout(0.2))
        if self.chance(0.4):
            layers += [nn.LazyLinear(8), self.one(nn.ReLU(), nn.Tanh(), nn.BatchNorm1d(8))]
        layers.append(nn.LazyLinear(self.one(2, 5), bias=self.chance(0.8)))
        if self.chance(0.2):
            layers.append(self.said("Softmax", nn.Softmax(self.one(1, -1))))
        return nn.Sequential(*layers)

    def module(self):
        size = self.size
        layers = [self.block(self.one(4, 6, 8), self.one(1, 2))]
        for _ in range(self.random.randint(2, 5)):
            draw = self.random.choices([self.block, self.residual, self.attention, self.joined, self.pool, self.other], [3, 3, 1, 2, 2, 3])[0]
            layers.append(draw())
        layers.append(self.head())
        module = nn.Sequential(*layers).eval()
        return module, size


def export(module, example, path, dynamo, any_batch, any_size):
    names = {0: "batch"} if any_batch else {}
    if any_size:
        names |= {2: "height", 3: "width"}
    options = {"dynamic_axes": {"x": names}} if names and not dynamo else {}
    if names and dynamo:
        options = {"dynamic_shapes": ({axis: torch.export.Dim(name, min=7 if axis else None) for axis, name in names.items()},)}
    torch.onnx.export(module, (example,), path, dynamo=dynamo, input_names=["x"], external_data=False, verbose=False, **options)


def write(folder, name, module, size, any_batch, kinds, any_size=False):
    """Exports a module in both ways and returns a row for each."""
    pictures = torch.randn(2, 3, size, size)
    with torch.no_grad():
        answers = torch.cat([module(p[None]).flatten() for p in pictures])
    rows = []
    # An exporter may take a batch of one for a constant.
    example = pictures if any_batch else pictures[:1]
    for exporter in ("script", "dynamo"):
        path = os.path.join(folder, f"{name}-{exporter}.onnx")
        export(module, example, path, exporter == "dynamo", any_batch, any_size)
        rows.append({"dynamo": exporter == "dynamo", "file": path, "side": size, "pixels": pictures.permute(0, 2, 3, 1).flatten().tolist(),
                     "answer": answers.tolist(), "operators": sorted(set(kinds))})
    return rows


def network(name, side):
    """A network of torchvision, or of timm as timm.NAME, with random weights whose answers depend
    on the picture: with those of a fresh network alone, most answer the same for all. So
    batch-norms get the statistics of random pictures, and what scales branches to nothing gets
    other numbers."""
    import torchvision

    torch.manual_seed(1)
    options = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
    if name.startswith("timm."):
        import timm

        module = timm.create_model(name.removeprefix("timm."), num_classes=10)
    else:
        module = getattr(torchvision.models, name)(num_classes=10, **options)
    if name.startswith("vgg"):  # whose classifier has nine tenths of all weights
        module.classifier = nn.Linear(512 * 7 * 7, 10)
    for at, p in module.named_parameters():
        if at.endswith("layer_scale"):
            nn.init.uniform_(p, 0.3, 1)
    for m in module.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.momentum = None  # the mean of all batches
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.normal_(m.bias, 0, 0.3)
    module.train()
    with torch.no_grad():
        module(torch.randn(24, 3, side, side))
    return module.eval()


def main(folder, first, count, networks):
    rows = []
    for seed in range(first, first + count):
        for attempt in range(20):
            drawn = Drawn(seed, attempt)
            try:
                module, size = drawn.module()
                any_batch = drawn.chance(0.5)
                rows += write(folder, f"seed {seed}", module, size, any_batch, drawn.kinds, any_batch and drawn.chance(0.3))
                break
            except Exception as e:  # a shape that does not fit, or what an exporter lacks
                cause = e.__cause__ or e
                print(f"seed {seed}, attempt {attempt}: {type(e).__name__}: {' '.join(str(cause).split())}"[:300])
        else:
            sys.exit(f"seed {seed}: nothing that can be exported was drawn")
    for name in networks:
        rows += write(folder, name, network(name, 64), 64, True, [name])
    with open(os.path.join(folder, "modules.json"), "w") as f:
        json.dump(rows, f)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
