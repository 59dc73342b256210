"""Running a network over an input that is still arriving, or is too long to hold.

    state = init_state(network)
    while chunk := more():
        y, state = step(network, chunk, state)
    y = finish(network, state)

y are the encoder's steps, of which `network.head` makes logits. Those of all calls, one after the other, do
not depend on how the input was cut, and for a unidirectional network they are those of the whole input:
convolutions are computed again over windows that reach as far back as they see and lie on their common
stride; the recurrent stack carries its state.
A step of a bidirectional network comes once `chunk` steps and `context` more have arrived: its backward
directions see no further (latency-controlled, see `RecurrentStack.advance`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lstmapps.nn import CTCNetwork
from lstmapps.nn.cells import State


@dataclass(frozen=True)
class StreamState:
    """All that the next step depends on; a step makes a new one and leaves the old as it is.

    raw (1, n, features): input from the first sample that the next frame sees.
    frames (1, n, input_size): normalised frames from the first that the next convolved step sees, which
    is number `first` of all; `convolved`: how many steps have left the convolutions.
    features (1, n, feature_size): steps that wait for more to come; outputs (1, n, width): those above
    the stack that still wait for their look-ahead. chunk, context: as in `init_state`, both 0 for a
    unidirectional network, which takes as many steps as have come.
    """

    raw: Tensor
    normalisation: Any
    frames: Tensor
    first: int
    convolved: int
    features: Tensor
    recurrent: State
    outputs: Tensor
    chunk: int
    context: int


def streams(network: CTCNetwork) -> bool:
    """Tell whether the network can be run in steps: its frontend can, and its heads read what has come so far."""
    steps = all(hasattr(network.frontend, name) for name in ("frames", "init_state", "normalise"))
    return steps and network.kind == "ctc"


def streams_exactly(network: CTCNetwork) -> bool:
    """Tell whether running in steps gives what running whole gives."""
    one_way = network.encoder.recurrent.stack.directions == 1
    return streams(network) and one_way and network.frontend.normalisation != "utterance"


def delay(network: CTCNetwork, context: int = 100) -> int:
    """Return how many raw steps after a network's step begins the last one it sees has come."""
    frontend: Any = network.frontend
    encoder = network.encoder
    stride, _, after = encoder.geometry()
    ahead = encoder.look_ahead.steps if encoder.look_ahead is not None else 0
    if encoder.recurrent.stack.directions == 2:
        ahead += context
    return int((after + ahead * stride + 1) * frontend.stride + frontend.context)


def init_state(network: CTCNetwork, chunk: int = 500, context: int = 100) -> StreamState:
    """Return the state before the first step.

    chunk, context: for a bidirectional network, how many steps are computed at a time, and how many
    after them its backward directions see.
    """
    frontend: Any = network.frontend
    encoder = network.encoder
    like = network.head.weight
    stack = encoder.recurrent.stack
    if stack.directions == 1:
        chunk, context = 0, 0
    return StreamState(
        raw=torch.full((1, frontend.context, 1), _beyond(frontend), device=like.device),
        normalisation=frontend.init_state(),
        frames=like.new_zeros(1, 0, frontend.features),
        first=0,
        convolved=0,
        features=like.new_zeros(1, 0, encoder.feature_size),
        recurrent=stack.init_state(),
        outputs=like.new_zeros(1, 0, stack.output_size),
        chunk=chunk,
        context=context,
    )


@torch.inference_mode()
def step(network: CTCNetwork, x: Tensor, state: StreamState) -> tuple[Tensor, StreamState]:
    """Take more input x (time, features), of any length; return the encoded steps (steps, output_size) now certain."""
    raw = torch.cat([state.raw, x.unsqueeze(0).to(state.raw)], dim=1)
    return _advance(network, replace(state, raw=raw), last=False)


@torch.inference_mode()
def preview(network: CTCNetwork, state: StreamState) -> Tensor:
    """Return the encoded steps (steps, output_size) that wait for what comes after them, as if nothing came.

    They are computed from what has left the convolutions, so they end a little before the input does.
    """
    y, _ = _encode(network, state, last=True)
    return y


@torch.inference_mode()
def finish(network: CTCNetwork, state: StreamState) -> Tensor:
    """Return the encoded steps (steps, output_size) that remain when the input ends here."""
    frontend: Any = network.frontend
    rest = state.raw.shape[1] - frontend.context  # input beyond the last whole frame
    frames = -(-rest // frontend.stride)
    missing = frames * frontend.stride + 2 * frontend.context - state.raw.shape[1]
    raw = functional.pad(state.raw, (0, 0, 0, missing), value=_beyond(frontend))
    y, _ = _advance(network, replace(state, raw=raw), last=True)
    return y


def _advance(network: CTCNetwork, state: StreamState, *, last: bool) -> tuple[Tensor, StreamState]:
    """Compute all that the input in `state` allows, or all that there is if it is the last."""
    return _encode(network, _convolve(network, _make_frames(network, state), last=last), last=last)


def _encode(network: CTCNetwork, state: StreamState, *, last: bool) -> tuple[Tensor, StreamState]:
    """Run what has left the convolutions through the rest of the encoder; all of it if it is the last."""
    outputs = [state.outputs]
    while chunk := _next_chunk(state, last):
        keep, seen = chunk
        y, recurrent = network.encoder.recurrent.stack.advance(state.features[:, :seen], state.recurrent, keep)
        outputs.append(y)
        state = replace(state, features=state.features[:, keep:], recurrent=recurrent)
    y = torch.cat(outputs, dim=1)
    look_ahead = network.encoder.look_ahead
    ahead = 0 if look_ahead is None else look_ahead.steps
    if last:
        y = functional.pad(y, (0, 0, 0, ahead))
    ready = max(0, y.shape[1] - ahead)
    state = replace(state, outputs=y[:, ready:])
    if not ready:
        return y.new_zeros(0, network.encoder.output_size), state
    if look_ahead is not None:
        y = look_ahead(y)
    if network.encoder.projection is not None:
        y = network.encoder.projection(y)
    return y[0], state


def _beyond(frontend: Any) -> float:
    """Return what a frontend takes for what lies beyond both ends of an input."""
    return float(getattr(frontend, "beyond", 0.0))


def _make_frames(network: CTCNetwork, state: StreamState) -> StreamState:
    frontend: Any = network.frontend
    count = (state.raw.shape[1] - 2 * frontend.context) // frontend.stride
    if count < 1:
        return state
    used = count * frontend.stride
    frames = frontend.frames(state.raw[:, : used + 2 * frontend.context])
    frames, normalisation = frontend.normalise(frames, state.normalisation)
    frames = torch.cat([state.frames, frames.to(state.frames)], dim=1)
    return replace(state, raw=state.raw[:, used:], normalisation=normalisation, frames=frames)


def _convolve(network: CTCNetwork, state: StreamState, *, last: bool) -> StreamState:
    """Compute the steps whose whole view has arrived, over a window that begins where the first of them sees."""
    stride, before, after = network.encoder.geometry()
    arrived = state.first + state.frames.shape[1]
    end = -(-arrived // stride) if last else max(state.convolved, (arrived - after - 1) // stride + 1)
    if end == state.convolved:
        return state
    window = state.frames[:, : None if last else end * stride - stride + after + 1 - state.first]
    features, _ = network.encoder.convolve(window, torch.tensor([window.shape[1]], device=window.device))
    offset = state.first // stride
    features = torch.cat([state.features, features[:, state.convolved - offset : end - offset]], dim=1)
    first = max(0, end - -(-before // stride)) * stride
    return replace(state, frames=state.frames[:, first - state.first :], first=first, convolved=end, features=features)


def _next_chunk(state: StreamState, last: bool) -> tuple[int, int] | None:
    """Return how many of the waiting steps can be finished now, and how many of them are seen for it."""
    waiting = state.features.shape[1]
    if state.chunk == 0:
        return (waiting, waiting) if waiting else None
    if waiting >= state.chunk + state.context:
        return state.chunk, state.chunk + state.context
    return (min(waiting, state.chunk), waiting) if last and waiting else None
