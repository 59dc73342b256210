"""The network of translation/multi30k-deu-eng in joeynmt, run by its own interpreter on the batches of a file."""

import logging
import sys
import time

import torch
from joeynmt.batch import Batch
from joeynmt.model import build_model
from joeynmt.search import search

logging.disable(logging.INFO)
given = torch.load(sys.argv[1], weights_only=True)
torch.set_num_threads(int(sys.argv[2]))
PAD, BOS, EOS = 1, 2, 3  # joeynmt's own numbers; those of the batches come behind them


class Vocabulary:
    pad_index, bos_index, eos_index, unk_index, sep_index = PAD, BOS, EOS, 0, None
    specials, lang_tags = [], []

    def __len__(self):
        return given["symbols"]


sizes = {"embedding_dim": 256, "dropout": 0.4}
config = {
    "encoder": {"type": "recurrent", "rnn_type": "lstm", "embeddings": sizes, "hidden_size": 256,
                "bidirectional": True, "num_layers": 1, "dropout": 0.4},
    "decoder": {"type": "recurrent", "rnn_type": "lstm", "embeddings": sizes, "hidden_size": 512, "num_layers": 1,
                "attention": "luong", "input_feeding": False, "init_hidden": "bridge", "dropout": 0.4,
                "hidden_dropout": 0.4},
}  # fmt: skip
model = build_model(config, Vocabulary(), Vocabulary())
model.loss_function = ("crossentropy", 0.1)
optimiser = torch.optim.AdamW(model.parameters())


def shifted(tokens, lengths, ends):
    """Return (rows, longest) in joeynmt's numbers, padded; with its marks of beginning and end if asked."""
    rows = []
    for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True):
        row = [symbol + 3 for symbol in row[:length]]
        rows.append(torch.tensor([BOS, *row, EOS] if ends else [*row, EOS]))
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)


batches = []
for source, lengths, targets, target_lengths in given["batches"]:
    read = shifted(source, lengths, ends=False)
    batches.append(
        Batch(read, lengths + 1, None, shifted(targets, target_lengths, ends=True), None,
              torch.arange(len(read)), torch.device("cpu"), PAD, EOS)
    )  # fmt: skip
    batches[-1].sort_by_src_length()


def train():
    model.train()
    for batch in batches:
        loss, _, _, _ = model(return_type="loss", **vars(batch))
        batch.normalize(loss, "tokens").backward()
        optimiser.step()
        optimiser.zero_grad()


def translate():
    model.eval()
    with torch.no_grad():
        for batch in batches:
            search(model=model, batch=batch, max_output_length=given["steps"], beam_size=1, beam_alpha=0)


def fastest(function):
    function()
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return min(times)


symbols, sentences = sum(batch.ntokens for batch in batches), sum(batch.nseqs for batch in batches)
print(f"joeynmt, training: {symbols / fastest(train):.0f} target symbols a second")
print(f"joeynmt, greedy: {sentences / fastest(translate):.0f} sentences a second")
