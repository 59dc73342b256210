"""Whole networks that write by a decoder: a frontend, an encoder, and an attention decoder.

What every network tells of itself is told in `lstmapps.nn.ctc_network`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from lstmapps.nn.decoders import AttentionDecoder, DecoderSettings
from lstmapps.nn.embeddings import TokenEmbedding
from lstmapps.nn.encoders import ConvRecurrentEncoder
from lstmapps.nn.grids import GridEncoder
from lstmapps.nn.quantised import quantise
from lstmapps.nn.shortlist import Shortlist


class Seq2SeqNetwork(nn.Module):
    """Frontend, encoder and decoder; the frontend is as `CTCNetwork` has it, `TokenEmbedding` for texts.

    joint: texts that are read and those that are written share their symbols, and one embedding.
    shortlist: how many symbols a `Shortlist` knows for each symbol that is read; 0 leaves it out.

    forward(x, lengths, tokens) takes raw inputs (batch, time, features) and the symbols before each step of the texts
    (batch, steps), the first 0, and returns logits (batch, steps, symbols) of the symbols there.
    """

    kind = "seq2seq"

    def __init__(
        self,
        frontend: nn.Module,
        encoder: ConvRecurrentEncoder | GridEncoder,
        decoder: DecoderSettings | Mapping[str, Any],
        symbols: int,
        *,
        joint: bool = False,
        shortlist: int = 0,
    ) -> None:
        super().__init__()
        settings = decoder if isinstance(decoder, DecoderSettings) else DecoderSettings(**decoder)
        self.frontend = frontend
        self.encoder = encoder
        self.decoder = AttentionDecoder(symbols, encoder.output_size, settings)
        self.joint = joint
        self.quantised = False
        if isinstance(frontend, TokenEmbedding) and not _keeps_steps(encoder):
            raise ValueError("the encoder of a text gives a step for each symbol; leave out strides and pooling")
        self.shortlist = None
        if shortlist:
            if not isinstance(frontend, TokenEmbedding):
                raise ValueError("only texts have a shortlist of what may be written for them")
            self.shortlist = Shortlist(frontend.embedding.num_embeddings, symbols, shortlist)
        self._tie()

    def forward(self, x: Tensor, lengths: Tensor, tokens: Tensor) -> Tensor:
        vectors, _ = self.decoder(tokens, *self.encode(x, lengths))
        logits: Tensor = self.decoder.output(vectors)
        return logits

    def encode(self, x: Tensor, lengths: Tensor, *, features: bool = False) -> tuple[Tensor, Tensor]:
        """Return what the decoder attends to, (batch, steps, encoder_size), and its lengths.

        features: x is what the frontend gave.
        """
        y, lengths = (x, lengths) if features else self.frontend(x, lengths)
        memory, _, lengths = self.encoder(y.to(self.decoder.embedding.weight.dtype), lengths)
        return memory, lengths

    def quantise(self) -> None:
        """Give the decoder weights of eight bits, see `lstmapps.nn.quantised`."""
        quantise(self.decoder)
        self.quantised = True

    def fits(self, written: int, read: int) -> bool:
        """Tell whether these are the numbers of symbols that the network writes and, if inputs are texts, reads."""
        own = self.frontend.embedding.num_embeddings if isinstance(self.frontend, TokenEmbedding) else read
        return (written, read) == (self.decoder.output.out_features, own)

    @property
    def room(self) -> None:
        """A text may have any number of symbols, however long its input is."""

    def levels(self) -> list[nn.Module]:
        """Return the parts of the network from the input to the top, for rates by level."""
        return [*self.frontend_levels(), *self.encoder.levels(), *self.decoder.levels()]

    def frontend_levels(self) -> list[nn.Module]:
        """Return the stages of the frontend, from the input up, if it tells of any, or itself as one."""
        own = getattr(self.frontend, "levels", None)
        return own() if own else [self.frontend]

    def description(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Return what a package holds of the network, given what a recipe says of its parts."""
        own = getattr(self.frontend, "description", None)
        frontend = own() if own else parts["frontend"]
        return {
            "class_path": "lstmapps.nn.Seq2SeqNetwork",
            "init_args": {
                "frontend": frontend,
                "encoder": parts["encoder"],
                "decoder": parts["decoder"],
                "symbols": self.decoder.output.out_features,
                "joint": self.joint,
                "shortlist": 0 if self.shortlist is None else self.shortlist.table.shape[1],
            },
        }

    def change_symbols(self, sources: Sequence[int | None]) -> None:
        """Take new symbols to write, in place; see `lstmapps.nn.heads.Head`."""
        self.decoder.change_symbols(sources)
        if self.shortlist is not None:
            self.shortlist.change_symbols(sources, joint=self.joint)
        self._tie()

    def _tie(self) -> None:
        if not self.joint:
            return
        if not isinstance(self.frontend, TokenEmbedding):
            raise ValueError("only texts share an embedding with what is written")
        self.frontend.embedding.weight = self.decoder.embedding.weight


def _keeps_steps(encoder: ConvRecurrentEncoder | GridEncoder) -> bool:
    """Tell whether as many steps come out as go in."""
    return isinstance(encoder, ConvRecurrentEncoder) and encoder.geometry()[0] == 1
