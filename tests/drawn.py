"""Pictures of figures drawn with Pillow, for tests that need lines of writing."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont


def draw(text: str) -> Image.Image:
    picture = Image.new("L", (8 + 12 * len(text), 24), 255)
    ImageDraw.Draw(picture).text((4, 2), text, fill=0, font=ImageFont.load_default(18))
    return picture


def draw_lines(folder: Path, count: int, symbols: str = "0123456789", seed: int = 0) -> Path:
    """Fill a folder with pictures and a table `train.tsv`; return the folder."""
    folder.mkdir(parents=True)
    generator = random.Random(seed)
    rows = []
    texts: dict[str, None] = {}  # each once: the same picture in two parts would be a leak
    while len(texts) < count:
        texts["".join(generator.choices(symbols, k=generator.randint(2, 6)))] = None
    for number, text in enumerate(texts):
        name = f"page{number % 6}_{number:03d}.png"
        draw(text).save(folder / name)
        rows.append(f"{name}\t{text}\n")
    (folder / "train.tsv").write_text("".join(rows), encoding="utf-8")
    return folder
