"""Numbers in words, from one language into another: a data set that needs no download."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from lstmapps.data import Sample, Source

_SHARES = {"test": (0.0, 0.2), "validation": (0.2, 0.25), "train": (0.25, 1.0)}


class NumberWords(Source):
    """Numbers in the words of languages that num2words has; those of one part stand in no other, in any language.

    pairs: such as `de-en`. With several, a source begins with the language that is wanted, as in `en: zwölf` (Johnson
    et al. 2017, "Google's multilingual neural machine translation system").
    count: how many numbers, each in every pair; they have 1 to `digits` digits, each count of digits as often.
    """

    def __init__(
        self,
        part: Literal["train", "validation", "test"],
        count: int,
        pairs: list[str] | None = None,
        digits: int = 6,
        seed: int = 0,
    ) -> None:
        self.part, self.count = part, count
        self.pairs = [(pair.partition("-")[0], pair.partition("-")[2]) for pair in pairs or ["de-en"]]
        self.digits, self.seed = digits, seed

    def samples(self) -> Iterator[Sample]:
        from num2words import num2words

        tagged = len(self.pairs) > 1
        for number in self._numbers():
            for source, target in self.pairs:
                words, translation = (num2words(number, lang=language) for language in (source, target))
                text = f"{target}: {words}" if tagged else words
                yield Sample(f"{self.part}-{number}-{source}-{target}", text, translation)

    def _numbers(self) -> list[int]:
        """Return different numbers of this part: a number's own hash says which one it belongs to."""
        generator = random.Random(f"{self.part} {self.seed}")
        low, high = _SHARES[self.part]
        numbers: dict[int, None] = {}
        for _ in range(100 * self.count):
            if len(numbers) == self.count:
                break
            length = generator.randint(1, self.digits)
            number = generator.randrange(10 ** (length - 1) if length > 1 else 0, 10**length)
            if low <= random.Random(f"{number} {self.seed}").random() < high:
                numbers[number] = None
        return list(numbers)
