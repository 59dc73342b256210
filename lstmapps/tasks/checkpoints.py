"""Training checkpoints on disk: replaced whole, and never unpickled."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO

from lstmapps.errors import UserError


class SafeCheckpointIO(CheckpointIO):
    """Saves beside the old file and renames; loads tensors and plain values only."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        try:
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            partial.unlink(missing_ok=True)
            raise UserError(f"{path} could not be written ({error}); free some space, then resume") from None

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        try:
            checkpoint: dict[str, Any] = torch.load(path, map_location=map_location or "cpu", weights_only=True)
            return checkpoint
        except FileNotFoundError:
            raise UserError(f"{path} does not exist; there is nothing to resume") from None
        except Exception as error:
            reason = str(error).split("\n")[0]
            raise UserError(f"{path} is not a checkpoint of a training run ({reason}); start the run anew") from None

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)
