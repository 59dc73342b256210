"""Captions a second from features that are kept, by recipe captioning/flickr8k-attend, its network untrained."""

import torch
import yaml
from torch import nn

from lstmapps.building import construct
from lstmapps.nn import Seq2SeqNetwork
from lstmapps.recipe import recipe_file
from lstmapps.search import Search, search
from tests.benchmarks.timing import seconds

PICTURES, WORDS = 256, 11  # a caption of Flickr8k has 10.8 words


def run() -> None:
    _, file = recipe_file("captioning/flickr8k-attend")
    parts = yaml.safe_load(file.read_text(encoding="utf-8"))["model"]["init_args"]
    encoder = construct(parts["encoder"])
    network = Seq2SeqNetwork(nn.Identity(), encoder, parts["decoder"], 3000).eval()
    cells = encoder.rows * encoder.columns
    features = torch.rand(PICTURES, cells, 1280, generator=torch.Generator().manual_seed(0)).half()
    lengths = torch.full((PICTURES,), cells)

    def describe() -> None:
        with torch.inference_mode():
            for rows in range(0, PICTURES, 64):
                memory, steps = network.encode(features[rows : rows + 64], lengths[rows : rows + 64], features=True)
                search(network.decoder, memory, steps, Search(shortest=WORDS, longest=WORDS))

    for name in ("float32", "int8"):
        describe()
        rate = PICTURES / min(seconds(describe) for _ in range(3))
        print(f"captions, beam 5, {WORDS} words, {name}: {rate:.0f} a second")
        network.quantise()
