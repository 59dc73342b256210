"""The functions of torchaudio that this plugin uses, or one sentence on why they are not there."""

from __future__ import annotations

from lstmapps.errors import UserError

try:
    from torchaudio.functional import create_dct, melscale_fbanks, resample
except (ImportError, OSError) as error:
    raise UserError(
        f"torchaudio cannot be imported beside the installed torch ({str(error).splitlines()[0]}); install both from "
        "one index: without a GPU, torch and torchaudio from PyTorch's CPU index"
    ) from None

__all__ = ["create_dct", "melscale_fbanks", "resample"]
