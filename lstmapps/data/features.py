"""What a frozen frontend makes of inputs, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lstmapps.errors import UserError

_SHARD = 1 << 28  # bytes of features in one file


def digest_of(x: Tensor) -> str:
    """Return what tells one loaded input from every other."""
    digest = hashlib.blake2b(f"{x.dtype} {tuple(x.shape)}".encode(), digest_size=16)
    digest.update(x.contiguous().numpy().tobytes())
    return digest.hexdigest()


class FrozenFrontend:
    """A frontend that never learns: what it gives of an input, (steps, features) in half precision, is kept.

    frontend: the module, `identity` being a text that changes whenever its outputs do, run on `device`. folder: where
    the features are kept, in files of safetensors that are mapped into memory, found by the digest of the loaded
    input, so by all that was done to it before; None keeps nothing. Raises UserError if the folder holds features of
    another frontend.

    A file is written whole or not at all, with what was computed since the one before; so work that is interrupted
    goes on from the last of them, and several processes may fill one folder.
    """

    def __init__(self, frontend: Any, folder: Path | None, device: torch.device | str = "cpu") -> None:
        self.frontend, self.folder, self.device = frontend.to(device), folder, device
        self.identity: str = frontend.identity
        self._files: dict[str, Path] = {}
        self._opened: dict[Path, Any] = {}
        self._fresh: dict[str, Tensor] = {}
        self._lock = Lock()
        for path in sorted(folder.glob("*.safetensors")) if folder is not None and folder.is_dir() else ():
            self._read(path)

    @torch.inference_mode()
    def __call__(self, x: Tensor, digest: str | None = None) -> Tensor:
        """Return the features (steps, size) of a loaded input (time, features)."""
        digest = digest or digest_of(x)
        with self._lock:
            if digest not in self._files and digest not in self._fresh:
                y, lengths = self.frontend(x.unsqueeze(0).to(self.device), torch.tensor([len(x)], device=self.device))
                self._fresh[digest] = y[0, : int(lengths[0])].half().cpu()
                if self.folder is not None and sum(each.nbytes for each in self._fresh.values()) >= _SHARD:
                    self._write()
            return self._known(digest)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Write what was computed inside, however it ends."""
        try:
            yield
        finally:
            with self._lock:
                self._write()

    def get(self, digest: str) -> Tensor | None:
        """Return features that are kept on disk, or None."""
        with self._lock:
            return self._known(digest) if digest in self._files else None

    def _known(self, digest: str) -> Tensor:
        if digest not in self._files:
            return self._fresh[digest] if self.folder is not None else self._fresh.pop(digest)
        path = self._files[digest]
        if path not in self._opened:
            self._opened[path] = safe_open(path, "pt")
        tensor: Tensor = self._opened[path].get_tensor(digest)
        return tensor

    def _write(self) -> None:
        if not self._fresh or self.folder is None:
            return
        name = hashlib.blake2b("".join(sorted(self._fresh)).encode(), digest_size=8).hexdigest()
        path = self.folder / f"{name}.safetensors"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{path.name}.{uuid4().hex}.partial")
            try:
                save_file(self._fresh, partial, {"frontend": self.identity})
                with partial.open("rb") as file:
                    os.fsync(file.fileno())
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path} could not be written ({error}); choose another data.cache") from None
        self._files |= dict.fromkeys(self._fresh, path)
        self._fresh = {}

    def _read(self, path: Path) -> None:
        """Take up what a file holds."""
        try:
            with safe_open(path, "pt") as file:
                made_by, digests = (file.metadata() or {}).get("frontend"), list(file.keys())
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path} is damaged ({error}); remove it") from None
        if made_by != self.identity:
            raise UserError(
                f"{path} holds features of {made_by}, not of {self.identity}; give another data.cache, or remove it"
            )
        self._files |= dict.fromkeys(digests, path)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what a process has opened, and what computes: workers find everything in the files."""
        own = {**self.__dict__, "_opened": {}, "_lock": None}
        return own if self.folder is None else {**own, "frontend": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = Lock()
