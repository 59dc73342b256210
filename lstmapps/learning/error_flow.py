"""How an error shrinks or grows on its way back in time, and through which gates it goes (Hochreiter 1991)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import jacrev

from lstmapps.nn.cells import Cell, State, Weights


@dataclass(frozen=True)
class ErrorFlow:
    """What is left of an error at the last of T steps, 0 to T steps before.

    total (T + 1,): the largest factor by which an error in the state can have grown, the spectral norm of
        ds_T/ds_{T-q}.
    mean (T + 1,): the same for an error of no particular direction, the Frobenius norm over sqrt(S).
    carousel (T + 1,): the mean of what stays within the units, along no recurrent weight.
    paths: by gate (T,), the Frobenius norm of one step back through that gate's recurrent weights alone, the first step
        first; "carousel" is that of none.
    """

    total: Tensor
    mean: Tensor
    carousel: Tensor
    paths: Mapping[str, Tensor]

    @property
    def rate(self) -> float:
        """The mean factor per step by which an error of no particular direction grows; below 1 it vanishes."""
        lags = len(self.mean) - 1
        return float((self.mean[-1] / self.mean[0]).clamp(min=1e-300) ** (1 / lags))


def error_flow(cell: Cell, weights: Weights, x: Tensor, start: State | None = None) -> ErrorFlow:
    """Return how errors flow back over a sequence x (time, input), from its last step to its first.

    It is the product of the Jacobians of all steps (Hochreiter 1991; Bengio et al. 1994, eq. 5), in float64. start: the
    state before the first step, (size,) each; zeros unless given. Raises ValueError for a sequence of no steps, and for
    a cell whose units meet elsewhere than in its recurrent weights: its ways could not be told apart.
    """
    if not cell.unitwise:
        raise ValueError(f"{cell} has units that meet in more than recurrent weights; its ways cannot be told apart")
    if not len(x):
        raise ValueError("x has no time steps over which errors could flow")
    weights, x = tuple(weight.detach().double() for weight in weights), x.double()
    hidden = cell.hidden_size(weights)
    sizes = cell.state_sizes(hidden)
    state = tuple(x.new_zeros(size) for size in sizes) if start is None else tuple(part.double() for part in start)
    gates = [letter for letter, count in zip(cell.gates, cell.blocks(hidden), strict=True) for _ in range(count)]
    inputs = cell.inputs(x, weights).detach()
    whole, within, paths = [], [], []
    for now in inputs:
        flat = torch.cat(state)

        def shared(flat: Tensor) -> Tensor:
            return cell.share(_parts(flat, sizes), weights)[0]

        def advanced(flat: Tensor, share: Tensor, now: Tensor = now) -> Tensor:
            after = cell.advance(now.unsqueeze(0), share.unsqueeze(0), _parts(flat, sizes), weights)
            return torch.cat(after, dim=1)[0]

        share = shared(flat)
        by_state, by_share = jacrev(advanced, argnums=(0, 1))(flat, share)
        heard = jacrev(shared)(flat)
        ways = {"carousel": by_state}
        for gate in cell.gates:
            own = torch.tensor([other == gate for other in gates[: len(share)]], device=x.device)
            ways[gate] = by_share[:, own] @ heard[own]
        whole.append(torch.stack(list(ways.values())).sum(dim=0))
        within.append(by_state)
        paths.append({name: torch.linalg.matrix_norm(way) for name, way in ways.items()})
        state = tuple(part[0] for part in _parts(advanced(flat, share), sizes))
    scale = sum(sizes) ** 0.5
    back, kept = _products(whole), _products(within)
    return ErrorFlow(
        torch.stack([torch.linalg.matrix_norm(product, 2) for product in back]),
        torch.stack([torch.linalg.matrix_norm(product) / scale for product in back]),
        torch.stack([torch.linalg.matrix_norm(product) / scale for product in kept]),
        {name: torch.stack([step[name] for step in paths]) for name in paths[0]},
    )


def _parts(flat: Tensor, sizes: tuple[int, ...]) -> State:
    return tuple(part.unsqueeze(0) for part in torch.split(flat, list(sizes)))


def _products(jacobians: list[Tensor]) -> list[Tensor]:
    """Return the products over the last 0, 1, … steps."""
    products = [torch.eye(len(jacobians[0]), dtype=jacobians[0].dtype, device=jacobians[0].device)]
    for jacobian in reversed(jacobians):
        products.append(products[-1] @ jacobian)
    return products
