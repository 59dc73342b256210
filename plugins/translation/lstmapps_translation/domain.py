"""Translation for lstmapps: what pairs of sentences are, how they are parted, doubted and written."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from lstmapps.data import Disturbance, Domain, Problem, Sample
from lstmapps.prediction import Format
from lstmapps_translation.disturbances import disturbances_of
from lstmapps_translation.pairs import doubts, families
from lstmapps_translation.readers import read_source
from lstmapps_translation.writers import write_html, write_lines


class Translation(Domain):
    """Sentences of one language and, where they are known, their translations.

    A sentence in capitals is read in small letters: what is learnt from has hardly any.

    source, target: codes of the languages, as the names of files have them (`de`, `en`; `deu`, `eng`).
    columns: the languages of a table's columns, in order; by default the source, then the target. A model that is
        trained reads other tables in the default order.
    longest: in words; of a longer text only the beginning is translated, and none is trained on.
    """

    reads_text = True
    of_recipes = frozenset({"columns"})
    several_references = True
    batch_steps = 3_000

    def __init__(
        self, source: str = "source", target: str = "target", columns: list[str] | None = None, longest: int = 200
    ) -> None:
        if source == target:
            raise ValueError(f"source and target are both {source!r}")
        if columns is not None and not {source, target} <= set(columns):
            raise ValueError(f"the columns {columns} do not name both {source} and {target}")
        if longest < 1:
            raise ValueError(f"a text has at least one word, longest cannot be {longest}")
        self.source, self.target = source, target
        self.columns = columns or [source, target]
        self.longest = longest

    def read(self, source: str) -> Iterator[Sample]:
        return read_source(source, self.source, self.target, self.columns)

    def measure(self, sample: Sample) -> Sample:
        text = str(sample.source)
        if (count := len(text.split())) > self.longest:
            print(f"{sample.id} has {count:,} words; only the first {self.longest} are translated", file=sys.stderr)
        return replace(sample, size=1 + min(len(text), 20 * self.longest) // 4)  # a guess; symbols are counted later

    def load(self, sample: Sample) -> str:
        return " ".join(str(sample.source).split()[: self.longest])

    def prepare(self, x: str) -> str:
        return x.capitalize() if x.isupper() and " " in x else x

    def origin(self, sample: Sample) -> str:
        file, _, number = sample.id.rpartition(":")
        return file if file and number.isdecimal() else "sentences"

    def groups(self, samples: Sequence[Sample], pattern: str) -> list[str]:
        return families(samples)

    def problems(self, samples: Sequence[Sample]) -> Iterator[Problem]:
        for sample in samples:
            if not str(sample.source).strip():
                yield Problem(sample.id, "empty", f"{sample.id} has nothing to translate; give its text or remove it")
            for text in (str(sample.source), *sample.references):
                if (count := len(text.split())) > self.longest:
                    message = f"{sample.id} has a text of {count:,} words, more than {self.longest}; split it into"
                    yield Problem(sample.id, "long", f"{message} sentences, or raise data.domain.init_args.longest")
                    break

    def doubts(self, samples: Sequence[Sample]) -> Iterator[Problem]:
        return doubts(samples)

    def disturbances(self) -> list[Disturbance]:
        return disturbances_of()

    def formats(self) -> dict[str, Format]:
        return {"text": Format(write_lines, ".txt"), "html": Format(write_html, ".html")}
