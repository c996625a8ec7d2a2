"""Makes the files of this folder with PyTorch: python make.py (2.15 made those committed).

answers.json has what PyTorch reads from each file that garb should read.
"""

import collections
import json
import os
import pickle
import zipfile

import torch

os.chdir(os.path.dirname(os.path.abspath(__file__)))
answers = {}


def save(name, value, state=None, **options):
    torch.save(value, name, **options)
    state = value if state is None else state
    answers[name] = {
        key: {"shape": list(t.shape), "values": t.detach().double().flatten().tolist()}
        for key, t in state.items()
        if t.is_floating_point()
    }


def small(seed):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(4, 2)
    )
    model[1].running_mean.normal_()
    model[1].num_batches_tracked += 7
    return model


state = small(1).state_dict()
save("zip.pth", state)
save("legacy.pth", state, _use_new_zipfile_serialization=False)
save("protocol4.pth", state, pickle_protocol=4)
save("parallel.pth", {"module." + k: v for k, v in state.items()}, state)
save("parameters.pth", dict(small(2).named_parameters()))

model = small(3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
sum(p.square().sum() for p in model.parameters()).backward()
optimizer.step()
save(
    "checkpoint.pth",
    {"epoch": 12, "state_dict": model.state_dict(), "optimizer": optimizer.state_dict(), "best": 0.75, "note": "Ünïcode"},
    model.state_dict(),
)

base = torch.arange(120, dtype=torch.float32).reshape(2, 3, 4, 5) / 7 - 4
kinds = collections.OrderedDict(
    float=base[0],
    half=base.half(),
    bfloat16=base.bfloat16(),
    double=base.double() / 3,
    last=base.contiguous(memory_format=torch.channels_last),
    turned=base.permute(3, 1, 0, 2),
    every_second=base[:, 1, ::2, 1::3],
    repeated=base[:1, :1, :2, :1].expand(1, 3, 2, 2),
    scalar=torch.tensor(2.5),
    none=torch.zeros(0, 3),
    long=torch.tensor([1, -2, 3]),
    int=torch.tensor([4, 5], dtype=torch.int32),
    bool=torch.tensor([True]),
)
save("kinds.pth", kinds)
save("kinds_legacy.pth", kinds, _use_new_zipfile_serialization=False)


class Caller:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


# Loading one of these runs a command, or would with a reader that obeys it.
command = "echo PWNED > garb_was_here"
torch.save(Caller(os.system, command), "calls.pth")
torch.save({"weight": torch.ones(2), "extra": Caller(os.system, command)}, "calls_legacy.pth", _use_new_zipfile_serialization=False)
torch.save({"weight": torch.ones(2), "extra": Caller(os.system, command)}, "calls4.pth", pickle_protocol=4)
torch.save(small(4), "module.pth")
torch.save({"weight": Caller(getattr, "text", "upper")}, "getattr.pth")
with open("plain.pth", "wb") as f:
    pickle.dump({"weight": 1}, f, protocol=2)
torch.jit.script(torch.nn.Linear(2, 2)).save("script.pth")
with zipfile.ZipFile("zip.pth") as source, zipfile.ZipFile("deflated.pth", "w", zipfile.ZIP_DEFLATED) as target:
    for entry in source.infolist():
        target.writestr(entry.filename, source.read(entry))

with open("answers.json", "w") as f:
    json.dump(answers, f, separators=(",", ":"))
