"""What training blanks out."""

import torch

from lstmapps.tasks import Masks


def test_masks_are_bands_and_stretches_of_each_row_within_their_widths_and_its_length():
    torch.manual_seed(0)
    y, lengths = torch.ones(64, 100, 80), torch.randint(20, 101, (64,))
    blank = Masks(bands=1, band_width=20, frames=1, frame_width=12, share=0.3)(y, lengths) == 0
    bands, frames = blank.all(dim=1), blank.all(dim=2)
    assert torch.equal(blank, bands.unsqueeze(1) | frames.unsqueeze(2))
    assert 10 < bands.sum(1).max() <= 21
    assert 6 < frames.sum(1).max() <= 13
    assert all(
        row.sum() <= 0.3 * length + 1 and not row[length:].any() for row, length in zip(frames, lengths, strict=True)
    )
    assert len({tuple(row.tolist()) for row in bands}) > 32  # each row has its own


def test_masks_of_zero_leave_everything():
    y = torch.randn(3, 10, 4)
    assert torch.equal(Masks(bands=0, frames=0)(y, torch.tensor([10, 4, 0])), y)
