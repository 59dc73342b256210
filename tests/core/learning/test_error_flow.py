"""How errors flow back, and what gates do."""

import math
import types

import pytest
import torch
from lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from lstmapps.errors import UserError
from lstmapps.learning import CarriedState, LearntBy, WatchGates, error_flow, gate_statistics
from lstmapps.nn import (
    GRU,
    LSTM,
    RNN,
    ElementwiseLSTMCell,
    ElmanCell,
    GridLSTM,
    GRUCell,
    LSTMCell,
    MGUCell,
    SLSTMCell,
    initialise,
)


@pytest.mark.parametrize("cell", [LSTMCell(), LSTMCell("V"), GRUCell(), ElmanCell(), SLSTMCell(heads=2)], ids=str)
def test_the_flow_is_the_product_of_the_jacobians(cell):
    torch.manual_seed(0)
    weights = tuple(torch.randn(shape, dtype=torch.float64) for shape in cell.shapes(3, 4).values())
    x, sizes = torch.randn(5, 3, dtype=torch.float64), cell.state_sizes(4)
    start = tuple(torch.rand(size, dtype=torch.float64) for size in sizes)
    flow = error_flow(cell, weights, x, start)

    def last(flat, steps):
        state = tuple(part.unsqueeze(0) for part in torch.split(flat, sizes))
        for now in steps:
            state = cell.step(now.unsqueeze(0), state, weights)
        return torch.cat(state, dim=1)[0]

    for lag in range(6):
        middle = last(torch.cat(start), x[: 5 - lag])
        jacobian = torch.func.jacrev(last)(middle, x[5 - lag :])
        torch.testing.assert_close(flow.total[lag], torch.linalg.matrix_norm(jacobian, 2))
        torch.testing.assert_close(flow.mean[lag], torch.linalg.matrix_norm(jacobian) / sum(sizes) ** 0.5)
    assert set(flow.paths) == {"carousel", *cell.gates}
    assert all(len(path) == 5 for path in flow.paths.values())


def test_errors_vanish_in_a_simple_network_and_stay_in_the_carousel():
    torch.manual_seed(0)
    x = torch.randn(60, 3)
    simple, memory = RNN(3, 16), LSTM(3, 16, variant="1997")
    rates = {}
    for name, layer in (("simple", simple), ("memory", memory)):
        direction = layer.stack.at(0)[0]
        with torch.no_grad():
            direction.weight_hh.mul_(0.5)
        flow = error_flow(layer.stack.cell, direction.weights(), x)
        rates[name] = flow.rate
        if name == "memory":  # without forget gates the carousel keeps errors for ever
            assert float(flow.carousel[-1] / flow.carousel[1]) == pytest.approx(1.0, abs=0.3)
    assert rates["simple"] < 0.6
    assert rates["memory"] > 0.9


def test_units_that_see_themselves_alone_have_all_of_their_flow_in_their_own_rows():
    torch.manual_seed(0)
    cell = ElementwiseLSTMCell()
    weights = tuple(torch.randn(shape) for shape in cell.shapes(3, 4).values())
    flow = error_flow(cell, weights, torch.randn(4, 3))
    assert bool((flow.paths["f"] > 0).all())
    with pytest.raises(ValueError, match="no time steps"):
        error_flow(cell, weights, torch.zeros(0, 3))
    with pytest.raises(ValueError, match="cannot be told apart"):
        error_flow(MGUCell(), weights, torch.zeros(1, 3))


def test_gates_are_told_by_layer_direction_and_letter():
    torch.manual_seed(0)
    layer = LSTM(3, 8, 2, bidirectional=True)
    initialise(layer, forget_bias=50.0)
    x = torch.randn(4, 6, 3)
    gates, states = gate_statistics(layer, x, [6, 2, 0, 3])
    assert set(gates) == {f"{index}.{d}.{gate}" for index in range(2) for d in range(2) for gate in "ifo"}
    for index in range(2):
        assert gates[f"{index}.0.f"].opened == 1.0
        assert gates[f"{index}.0.f"].mean == pytest.approx(1.0)
        assert 0.3 < gates[f"{index}.1.i"].mean < 0.7
        assert len(states[f"{index}.0.state"]) == 2
    assert layer.training
    ended, _ = gate_statistics(layer, x[:2], [6, 2])
    filled = x.clone()
    filled[1, 2:] = 100.0  # beyond a length nothing counts
    assert gate_statistics(layer, filled[:2], [6, 2])[0] == ended
    assert gate_statistics(RNN(3, 4), x)[0] == {}
    assert set(gate_statistics(GRU(3, 4), x)[0]) == {"0.0.r", "0.0.z"}


class Stream(LightningModule):
    """Learns to say again what it heard, and remembers what it was given."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.read = layer, torch.nn.Linear(8, 1)
        self.outputs = []

    def training_step(self, batch, batch_idx):
        y, _ = self.layer(batch)
        self.outputs.append(y.detach())
        return (self.read(y) - batch).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def fit(module, callback, x, pieces):
    batches = [piece.contiguous() for piece in x.chunk(pieces, dim=1)]
    settings = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = Trainer(max_epochs=2, enable_model_summary=False, callbacks=[callback], **settings)
    trainer.fit(module, DataLoader(batches, batch_size=None))
    return module


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_a_stream_goes_on_from_batch_to_batch_and_begins_anew_with_an_epoch(kind):
    torch.manual_seed(0)
    x, layer = torch.randn(2, 12, 1), kind(1, 8)
    module = fit(Stream(layer), CarriedState(), x, pieces=4)
    whole, _ = layer(x)
    for epoch in range(2):
        got = torch.cat(module.outputs[4 * epoch : 4 * epoch + 4], dim=1)
        torch.testing.assert_close(got, whole, atol=1e-6, rtol=1e-5)
    assert not module.layer._forward_hooks
    assert not module.layer._forward_pre_hooks


@pytest.mark.parametrize("rule", ["1997", "1997 online", "RTRL", "TBPTT"])
def test_a_stream_goes_on_under_every_rule(rule):
    torch.manual_seed(0)
    x, layer = torch.randn(2, 12, 1), LSTM(1, 8)
    module = fit(Stream(LearntBy(layer, rule, horizon=2)), CarriedState(), x, pieces=4)
    torch.testing.assert_close(torch.cat(module.outputs[:4], dim=1), layer(x)[0], atol=1e-6, rtol=1e-5)
    watch = WatchGates(every=1)
    fit(Stream(LearntBy(layer, rule)), watch, x, pieces=4)
    assert set(watch.history[0][1]) == {"layer.0.0.i", "layer.0.0.f", "layer.0.0.o"}


def test_a_stream_that_was_stopped_within_an_epoch_has_its_states_kept():
    layer, callback = LSTM(1, 8), CarriedState()
    module, x = Stream(layer), torch.randn(2, 8, 1)
    callback.on_fit_start(None, module)
    callback.on_train_batch_start(None, module, x[:, :4], 0)
    module.training_step(x[:, :4], 0)
    callback.on_train_batch_end(None, module)
    again = CarriedState()
    again.load_state_dict(callback.state_dict())
    again.on_fit_start(None, module)
    again.on_train_epoch_start(None, module)
    again.on_train_batch_start(None, module, x[:, 4:], 1)
    module.training_step(x[:, 4:], 1)
    again.on_train_batch_end(None, module)
    torch.testing.assert_close(torch.cat(module.outputs, dim=1), layer(x)[0], atol=1e-6, rtol=1e-5)
    callback.on_train_epoch_end(None, module)
    assert callback.state_dict() == {}
    with pytest.raises(UserError, match="backward direction"):
        CarriedState().on_fit_start(None, Stream(LSTM(1, 4, bidirectional=True)))
    with pytest.raises(UserError, match="no recurrent layers"):
        CarriedState().on_fit_start(None, Stream(GridLSTM(1, 4, 2)))
    again.on_train_epoch_end(None, module)
    with pytest.raises(UserError, match="runs none"):
        again.on_train_batch_end(None, module)


def test_nothing_is_dropped_while_gates_are_watched():
    torch.manual_seed(0)
    layer, x = LSTM(3, 8, 2, dropout=0.5, zoneout=0.3), torch.randn(4, 6, 3)
    before = torch.get_rng_state()
    assert gate_statistics(layer, x) == gate_statistics(layer, x)
    assert torch.equal(torch.get_rng_state(), before)
    started = tuple(torch.ones_like(part) for part in layer.stack.init_state(4))
    assert gate_statistics(layer, x, state=started) != gate_statistics(layer, x)


def test_rows_that_begin_forget_what_was_before():
    torch.manual_seed(0)
    layer, x = LSTM(1, 8), torch.randn(2, 8, 1)
    x[0, 0] = math.nan  # which stays in the state, until it begins anew

    class Batch(torch.Tensor):
        begins = None

    second = x[:, 4:].as_subclass(Batch)
    second.begins = [True, False]
    module, callback = Stream(layer), CarriedState()
    callback.on_fit_start(None, module)
    for batch in (x[:, :4], second):
        callback.on_train_batch_start(None, module, batch, 0)
        module.training_step(batch.as_subclass(torch.Tensor), 0)
        callback.on_train_batch_end(None, module)
    alone, _ = layer(x[:1, 4:])
    whole, _ = layer(x[1:])
    torch.testing.assert_close(module.outputs[1][:1], alone, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(module.outputs[1][1:], whole[:, 4:], atol=1e-6, rtol=1e-5)


def test_a_stream_that_ended_goes_on_only_as_another():
    layer, callback = LSTM(1, 8), CarriedState()
    module, x = Stream(layer), torch.randn(2, 4, 1)
    callback.on_fit_start(None, module)

    def read(lengths, begins=None):
        callback.on_train_batch_start(None, module, types.SimpleNamespace(begins=begins), 0)
        y, _ = module.layer(x, lengths)
        callback.on_train_batch_end(None, module)
        return y

    fresh, _ = layer(x)
    read([4, 2])
    read([4, 0])  # nothing more of it
    with pytest.raises(UserError, match=r"rows \[1\] have ended"):
        read([4, 4])
    callback.on_train_batch_end(None, module)
    torch.testing.assert_close(read([4, 4], begins=[False, True])[1], fresh[1])
    read([4, 4])
    read([4, 2])
    again = CarriedState()
    again.load_state_dict(callback.state_dict())
    again.on_fit_start(None, module)
    again.on_train_batch_start(None, module, types.SimpleNamespace(), 0)
    with pytest.raises(UserError, match="have ended"):
        module.layer(x, [4, 4])
    again.on_train_batch_end(None, module)
    for begins in ([True], [[True, False]], [1, 0], [True, None]):
        with pytest.raises(UserError, match="2 truth values"):
            read([4, 4], begins)
        callback.on_train_batch_end(None, module)


def test_gates_are_watched_while_a_task_trains():
    torch.manual_seed(0)
    watch = WatchGates(every=2)
    fit(Stream(LSTM(1, 8)), watch, torch.randn(2, 12, 1), pieces=4)
    assert [step for step, _, _ in watch.history] == [1, 3, 5, 7]
    gates = watch.history[0][1]
    assert set(gates) == {"layer.0.0.i", "layer.0.0.f", "layer.0.0.o"}
    assert all(0.0 < seen.mean < 1.0 and math.isclose(seen.closed + seen.opened, 0.0) for seen in gates.values())
    with pytest.raises(ValueError, match="1 batch"):
        WatchGates(every=0)
