"""Every recurrent layer and option: its equations against the papers', and what all of them promise."""

import math
from functools import partial

import pytest
import torch
from cut import assert_cut_changes_nothing, exactly
from torch import nn

from lstmapps.nn import (
    GRU,
    LSTM,
    MGU,
    RNN,
    SLSTM,
    ElementwiseLSTM,
    ElementwiseLSTMCell,
    GRUCell,
    JordanCell,
    JordanRNN,
    LSTMCell,
    RecurrentNoise,
    SLSTMCell,
    initialise,
)

GREFF = ("V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "FGR")
LAYERS = {
    **{variant: partial(LSTM, variant=variant) for variant in ("NP", *GREFF, "1997", "2000")},
    "peepholes": partial(LSTM, peepholes=True),
    "NFG without peepholes": partial(LSTM, variant="NFG", peepholes=False),
    "2000 with peepholes": partial(LSTM, variant="2000", peepholes=True),
    "1997 in blocks": partial(LSTM, variant="1997", block_size=2),
    "V in blocks": partial(LSTM, variant="V", block_size=4),
    "FGR in blocks": partial(LSTM, variant="FGR", block_size=2),
    "recurrent layer norm": partial(LSTM, recurrent_layer_norm=True),
    "CIFG, normalised and projected": partial(LSTM, variant="CIFG", recurrent_layer_norm=True, projection_size=3),
    "input layer norm": partial(LSTM, input_layer_norm=True, residual=True),
    "projection": partial(LSTM, projection_size=3),
    "zoneout": partial(LSTM, zoneout=(0.1, 0.3)),
    "GRU": GRU,
    "GRU, reset before": partial(GRU, cell=GRUCell(reset_after=False)),
    "MGU": MGU,
    "Elman": RNN,
    "Jordan": JordanRNN,
    "Jordan, 3 outputs": partial(JordanRNN, cell=JordanCell(output_size=3)),
    "elementwise": ElementwiseLSTM,
    "sLSTM": SLSTM,
    "sLSTM with heads": partial(SLSTM, cell=SLSTMCell(heads=2, forget="exponential")),
}
EVERY = pytest.mark.parametrize("kind", LAYERS.values(), ids=LAYERS)
INPUT, HIDDEN = 3, 4


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def made(kind, num_layers=2, bidirectional=True):
    torch.manual_seed(0)
    layer = kind(INPUT, HIDDEN, num_layers, bidirectional=bidirectional, dtype=torch.float64).eval()
    with torch.no_grad():
        for parameter in layer.parameters():  # biases, gains and peepholes too are to matter
            parameter += 0.3 * torch.randn_like(parameter)
    return layer


def started(layer, batch):
    """A state of any values, as a layer takes it."""
    state = tuple(torch.rand_like(part) + 0.1 for part in layer.stack.init_state(batch))  # a normaliser is above 0
    return state if len(state) > 1 else state[0]


@EVERY
def test_padding_order_and_other_rows_change_nothing(kind):
    layer, lengths = made(kind), [7, 0, 3, 9, 1, 3]
    x = torch.full((6, 11, INPUT), float("nan"), dtype=torch.float64)
    for row, length in enumerate(lengths):
        x[row, :length] = torch.randn(length, INPUT)
    state = started(layer, 6)
    y, end = layer(x, lengths, state)
    for row, length in enumerate(lengths):
        own = tuple(part[:, row : row + 1] for part in parts(state))
        assert bool((y[row, length:] == 0).all())
        if not length:
            expected = own
        else:
            alone, expected = layer(x[row : row + 1, :length], None, own if len(own) > 1 else own[0])
            exactly(y[row, :length], alone[0])
        for a, b in zip(parts(end), parts(expected), strict=True):
            exactly(a[:, row], b[:, 0])
    order = torch.tensor([4, 1, 0, 3, 5, 2])
    moved = tuple(part[:, order] for part in parts(state))
    again, _ = layer(x[order], torch.tensor(lengths)[order], moved if len(moved) > 1 else moved[0])
    exactly(again, y[order])


@EVERY
def test_a_sequence_may_be_cut_and_its_state_handed_on(kind):
    layer = made(kind, bidirectional=False)
    assert_cut_changes_nothing(layer, torch.randn(2, 9, INPUT, dtype=torch.float64), place=4)


@EVERY
def test_gradients_are_those_of_finite_differences(kind):
    layer = made(kind)
    names, weights = zip(*layer.named_parameters(), strict=True)
    x = torch.randn(3, 4, INPUT, dtype=torch.float64, requires_grad=True)
    state = [part.requires_grad_() for part in parts(started(layer, 3))]

    def run(x, *others):
        given, own = others[: len(state)], dict(zip(names, others[len(state) :], strict=True))
        y, end = torch.func.functional_call(layer, own, (x, [4, 1, 0], given if len(given) > 1 else given[0]))
        return y, *parts(end)

    assert torch.autograd.gradcheck(run, (x, *state, *weights), atol=1e-6, rtol=1e-6, fast_mode=True)


@EVERY
def test_few_steps_and_many_and_exported_ones_are_the_same(kind):
    layer = made(kind)
    x, lengths = torch.randn(3, 12, INPUT, dtype=torch.float64), torch.tensor([12, 4, 7])

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x, lengths):
            return self.layer(x, lengths)[0]

    free = torch.export.Dim.AUTO
    exported = torch.export.export(Net(), (x, lengths), dynamic_shapes=({0: free, 1: free}, {0: free})).module()
    with torch.no_grad():
        exactly(exported(x[:2, :7], torch.tensor([7, 4])), layer(x[:2, :7], [7, 4])[0])
        one_way = made(kind, 1, bidirectional=False)
        exactly(one_way(x[:, :4])[0], one_way(x)[0][:, :4])


@EVERY
def test_half_precision_and_autocast_give_their_dtype(kind):
    torch.manual_seed(0)
    layer, x = kind(INPUT, HIDDEN, 2, bidirectional=True), torch.randn(2, 12, INPUT)
    expected, _ = layer.eval()(x, [12, 5])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, state = layer(x, [12, 5])
    assert {y.dtype, *(part.dtype for part in parts(state))} == {torch.bfloat16}
    torch.testing.assert_close(y.float(), expected, atol=0.1, rtol=0.1)


def sigma(x):
    return 1 / (1 + math.exp(-x))


def greff(variant, look=True):
    """One unit of a variant in numbers: section III of Greff et al. 2017, and the changes that it lists."""

    def step(w, r, b, p, q, x, h, c, gates):
        def opened(gate, seen):
            more = sum(q[gate, other] * gates[other] for other in "ifo") if variant == "FGR" else 0.0
            return sigma(w[gate] * x + r[gate] * h + b[gate] + (p[gate] * seen if look else 0.0) + more)

        i = 1.0 if variant == "NIG" else opened("i", c)
        f = 1.0 if variant in ("NFG", "1997") else 1.0 - i if variant == "CIFG" else opened("f", c)
        a = w["g"] * x + r["g"] * h + b["g"]
        squashed = {"NIAF": a, "1997": 4 * sigma(a) - 2, "2000": 4 * sigma(a) - 2}
        c = f * c + i * squashed.get(variant, math.tanh(a))
        o = 1.0 if variant == "NOG" else opened("o", c)
        out = {"NOAF": c, "1997": 2 * sigma(c) - 1, "2000": 2 * sigma(c) - 1}.get(variant, math.tanh(c))
        return o * out, c, {"i": i, "f": f, "o": o}

    return step


@pytest.mark.parametrize("variant", ["NP", *GREFF, "1997", "2000"])
def test_variants_compute_what_the_papers_say(variant):
    layer = made(partial(LSTM, variant=variant), num_layers=1, bidirectional=False)
    cell, direction = layer.stack.cell, layer.stack.at(0)[0].requires_grad_(False)
    with torch.no_grad():  # units that do not see each other, so that each can be computed by itself
        size = len(cell.gates)
        direction.weight_hh.copy_(torch.cat([torch.diag(torch.randn(HIDDEN)) for _ in range(size)]))
        if variant == "FGR":
            blocks = [torch.cat([torch.diag(torch.randn(HIDDEN)) for _ in range(3)], dim=1) for _ in range(3)]
            direction.weight_gates.copy_(torch.cat(blocks))
    x = torch.zeros(1, 6, INPUT, dtype=torch.float64)
    x[0, :, 0] = torch.randn(6)
    y, _ = layer(x)
    true_gates = cell.gates.replace("g", "")
    for unit in range(HIDDEN):
        row = {gate: number * HIDDEN + unit for number, gate in enumerate(cell.gates)}
        w = {gate: float(direction.weight_ih[at, 0]) for gate, at in row.items()}
        r = {gate: float(direction.weight_hh[at, unit]) for gate, at in row.items()}
        b = {gate: float(direction.bias_ih[at] + direction.bias_hh[at]) for gate, at in row.items()}
        p, q = {}, {}
        if cell.looks:
            p = {gate: float(direction.weight_peephole[number, unit]) for number, gate in enumerate(true_gates)}
        if variant == "FGR":
            matrix = direction.weight_gates.view(3, HIDDEN, 3, HIDDEN)
            q = {(a, z): float(matrix[m, unit, n, unit]) for m, a in enumerate("ifo") for n, z in enumerate("ifo")}
        h, c, gates = 0.0, 0.0, dict.fromkeys("ifo", 0.0)
        for time in range(6):
            h, c, gates = greff(variant, cell.looks)(w, r, b, p, q, float(x[0, time, 0]), h, c, gates)
            assert h == pytest.approx(float(y[0, time, unit]), abs=1e-10)


def test_cells_of_a_block_share_their_gates():
    torch.manual_seed(0)
    cell = LSTMCell("V", block_size=2)
    weights = tuple(torch.randn(shape, dtype=torch.float64) for shape in cell.shapes(3, 4).values())
    w, r, b, d, peepholes = weights
    x, h, c = (torch.randn(2, size, dtype=torch.float64) for size in (3, 4, 4))
    i, f, g, o = torch.split(x @ w.T + b + h @ r.T + d, [2, 2, 4, 2], dim=1)

    def opened(gate, peephole, seen):
        both = [gate[:, block] + (peephole * seen)[:, 2 * block : 2 * block + 2].sum(1) for block in (0, 1)]
        return torch.stack([both[0], both[0], both[1], both[1]], dim=1).sigmoid()

    cells = opened(f, peepholes[1], c) * c + opened(i, peepholes[0], c) * g.tanh()
    exactly(cell.step(x, (h, c), weights), (opened(o, peepholes[2], cells) * cells.tanh(), cells))


def test_a_projection_is_torchs():
    torch.manual_seed(0)
    reference = nn.LSTM(3, 6, 2, batch_first=True, bidirectional=True, proj_size=2, dtype=torch.float64)
    layer = LSTM.from_torch(reference)
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    exactly(layer(x), reference(x))
    exactly(layer.to_torch()(x)[0], reference(x)[0])


def test_layer_norm_is_that_of_the_paper():
    torch.manual_seed(0)
    cell = LSTMCell(layer_norm=True)
    weights = [torch.randn(shape, dtype=torch.float64) for shape in cell.shapes(3, 4).values()]
    w, r, b, d, gain_ih, gain_hh, gain_c, bias_c = weights
    x, h, c = (torch.randn(2, size, dtype=torch.float64) for size in (3, 4, 4))

    def norm(a, gain, bias):
        return gain * (a - a.mean(1, keepdim=True)) / (a.var(1, correction=0, keepdim=True) + 1e-5).sqrt() + bias

    i, f, g, o = (norm(x @ w.T, gain_ih, b) + norm(h @ r.T, gain_hh, d)).chunk(4, dim=1)
    cells = f.sigmoid() * c + i.sigmoid() * g.tanh()
    exactly(cell.step(x, (h, c), tuple(weights)), (o.sigmoid() * norm(cells, gain_c, bias_c).tanh(), cells))


@pytest.mark.parametrize("forget", ["sigmoid", "exponential"])
def test_the_stabiliser_of_an_slstm_changes_nothing(forget):
    torch.manual_seed(0)
    cell = SLSTMCell(heads=2, forget=forget)
    weights = tuple(torch.randn(shape, dtype=torch.float64) for shape in cell.shapes(3, 4).values())
    w, r, b, d = weights
    blocks = [torch.block_diag(*gate.view(2, 2, 2)) for gate in r.chunk(4)]
    state = tuple(torch.zeros(2, 4, dtype=torch.float64) for _ in range(4))
    h = c = n = torch.zeros(2, 4, dtype=torch.float64)
    for _ in range(6):
        x = torch.randn(2, 3, dtype=torch.float64)
        i, f, g, o = (x @ w.T + b + torch.cat([h @ block.T for block in blocks], dim=1) + d).chunk(4, dim=1)
        i, f = i.exp(), f.sigmoid() if forget == "sigmoid" else f.exp()
        c, n = f * c + i * g.tanh(), f * n + i
        h = o.sigmoid() * c / n
        state = cell.step(x, state, weights)
        exactly(state[0], h)


def test_gates_of_the_other_units():
    torch.manual_seed(0)
    x, h = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    for cell, gates in ((GRUCell(reset_after=False), 3), (MGU.usual, 2)):
        w, r, b, d = (torch.randn(shape, dtype=torch.float64) for shape in cell.shapes(3, 4).values())
        inputs, own = (x @ w.T + b).chunk(gates, dim=1), list(zip(r.chunk(gates), d.chunk(gates), strict=True))
        opened = [(a + h @ m.T + e).sigmoid() for a, (m, e) in zip(inputs[:-1], own[:-1], strict=True)]
        new = (inputs[-1] + (opened[0] * h) @ own[-1][0].T + own[-1][1]).tanh()
        stays = opened[1] if gates == 3 else 1 - opened[0]
        exactly(cell.step(x, (h,), (w, r, b, d))[0], stays * h + (1 - stays) * new)
    cell, c = ElementwiseLSTMCell(), torch.randn(2, 4, dtype=torch.float64)
    w, r, b, d = (torch.randn(shape, dtype=torch.float64) for shape in cell.shapes(3, 4).values())
    f, g, o = (x @ w.T + b + d + c.repeat(1, 3) * r.T).chunk(3, dim=1)
    cells = f.sigmoid() * c + (1 - f.sigmoid()) * g.tanh()
    exactly(cell.step(x, (h, c), (w, r, b, d)), (o.sigmoid() * cells, cells))
    cell = JordanCell(output_size=2)
    w, r, b, d, v, e = (torch.randn(shape, dtype=torch.float64) for shape in cell.shapes(3, 4).values())
    y = torch.randn(2, 2, dtype=torch.float64)
    expected = ((x @ w.T + b + y @ r.T + d).tanh() @ v.T + e).sigmoid()
    exactly(cell.step(x, (y,), (w, r, b, d, v, e))[0], expected)


def test_zoneout_keeps_units_while_training_and_is_a_mean_in_use():
    torch.manual_seed(0)
    plain, layer = LSTM(3, 200, dtype=torch.float64), LSTM(3, 200, zoneout=(0.2, 0.6), dtype=torch.float64)
    layer.load_state_dict(plain.state_dict())
    x, state = torch.randn(2, 1, 3, dtype=torch.float64), started(layer, 2)
    for part, old, new, share in zip(
        layer(x, None, state)[1], state, plain(x, None, state)[1], (0.2, 0.6), strict=True
    ):
        stayed = part == old
        assert float(stayed.double().mean()) == pytest.approx(share, abs=0.1)
        exactly(torch.where(stayed, old, part), torch.where(stayed, old, new))
    for part, old, new, share in zip(
        layer.eval()(x, None, state)[1], state, plain(x, None, state)[1], (0.2, 0.6), strict=True
    ):
        exactly(part, share * old + (1 - share) * new)


def test_what_is_dropped_within_a_recurrence_is_dropped_where_it_says():
    torch.manual_seed(0)
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    plain = LSTM(3, 50, dtype=torch.float64)
    for setting in ("recurrent_dropout", "state_dropout", "weight_dropout"):
        layer = LSTM(3, 50, **{setting: 0.5}, dtype=torch.float64)
        layer.load_state_dict(plain.state_dict())
        first, again = layer(x)[0], layer(x)[0]
        assert not torch.equal(first, again)
        kept = first[:, 0] == again[:, 0]
        if setting == "recurrent_dropout":  # half of the units get nothing new at a step
            assert float((first[:, 0] == 0).double().mean()) == pytest.approx(0.5, abs=0.15)
        else:  # before the first step there is nothing to be dropped
            assert bool(kept.all())
        exactly(layer.eval()(x)[0], plain(x)[0])
        with pytest.raises(ValueError, match=r"\[0, 1\)"):
            LSTM(3, 4, **{setting: 1.0})


@pytest.mark.parametrize("kind", [LSTM, GRU, RNN, ElementwiseLSTM])
def test_state_dropout_stays_within_bounds_and_works_in_half_precision(kind):
    torch.manual_seed(0)
    layer, x = kind(3, 16, noise=RecurrentNoise(state=0.5)), torch.randn(2, 300, 3)
    assert float(layer(x)[0].detach().abs().max()) <= 1.0
    assert not torch.equal(layer(x)[0], layer.eval()(x)[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer.train()(x)[0].dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("kind", "noise", "message"),
    [
        (MGU, RecurrentNoise(state=0.1), "besides those of its gates"),
        (partial(GRU, cell=GRUCell(reset_after=False)), RecurrentNoise(state=0.1), "besides those of its gates"),
        (SLSTM, RecurrentNoise(zoneout=0.1), "go together"),
    ],
)
def test_noise_that_would_do_something_else_is_refused(kind, noise, message):
    with pytest.raises(ValueError, match=message):
        kind(3, 4, noise=noise)


def test_noise_is_given_whole_or_by_its_settings():
    layer = GRU(3, 4, noise=RecurrentNoise(zoneout=0.5, recurrent=0.1))
    assert layer(torch.randn(2, 5, 3))[0].shape == (2, 5, 4)
    with pytest.raises(ValueError, match="not both"):
        LSTM(3, 4, zoneout=0.5, noise=RecurrentNoise(zoneout=0.1))
    with pytest.raises(ValueError, match="GRUCell"):
        GRU(3, 4, cell=LSTMCell())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "XYZ"}, "no variant"),
        ({"block_size": 3}, "multiple"),
        ({"block_size": 0}, "at least one cell"),
        ({"zoneout": -0.1}, r"\[0, 1\)"),
        ({"zoneout": (0.1, 1.5)}, r"\[0, 1\)"),
        ({"zoneout": (0.1, math.nan)}, r"\[0, 1\)"),
        ({"zoneout": (0.1,)}, "two"),
        ({"zoneout": (0.1, 0.2, 0.3)}, "two"),
        ({"state_dropout": -0.1}, r"state dropout must lie in \[0, 1\)"),
        ({"projection_size": 5}, "fewer"),
    ],
)
def test_settings_that_make_no_sense_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        LSTM(3, 4, **settings)


def test_weights_start_as_is_asked_for():
    torch.manual_seed(0)
    layer = LSTM(3, 64, 2, variant="V", bidirectional=True)
    initialise(layer, forget_bias=2.0, recurrent="identity")
    for direction in (one for index in range(2) for one in layer.stack.at(index)):
        biases = direction.bias_ih.view(4, 64)
        assert bool((biases[1] == 2.0).all())
        assert bool((biases[[0, 2, 3]] == 0.0).all())
        assert all(torch.equal(gate, torch.eye(64)) for gate in direction.weight_hh.chunk(4))
    initialise(layer, chrono=500, recurrent="uniform")
    biases = layer.stack.at(1)[0].bias_ih.view(4, 64)
    assert 0.0 <= biases[1].min().item() < 4.0 < biases[1].max().item() <= math.log(499)
    exactly(biases[0], -biases[1])
    assert layer.stack.at(0)[0].weight_hh.abs().max().item() <= 1 / 8
    heads = SLSTM(3, 4, cell=SLSTMCell(heads=2))
    initialise(heads, recurrent="identity", forget_bias=1.0)
    assert all(torch.equal(square, torch.eye(2)) for square in heads.stack.at(0)[0].weight_hh.view(-1, 2, 2))
    assert bool((heads.stack.at(0)[0].bias_ih[4:8] == 1.0).all())
    for cell in (LSTMCell("CIFG"), LSTMCell("1997")):
        before = LSTM(3, 4, cell=cell)
        kept = {name: value.clone() for name, value in before.state_dict().items()}
        with pytest.raises(ValueError, match="no forget gates"):
            initialise(before, chrono=10)
        assert all(torch.equal(value, kept[name]) for name, value in before.state_dict().items())
    with pytest.raises(ValueError, match="3 steps"):
        initialise(layer, chrono=1)
    with pytest.raises(ValueError, match="leave it or forget_bias out"):
        initialise(layer, chrono=10, forget_bias=1.0)
    with pytest.raises(ValueError, match="orthogonal, glorot"):
        initialise(layer, recurrent="zeros")


@EVERY
def test_no_rows_and_no_steps_have_gradients_of_zero(kind):
    layer = made(kind)
    for x, lengths in ((torch.zeros(0, 5, INPUT), None), (torch.ones(2, 5, INPUT), [0, 0])):
        layer.zero_grad()
        layer(x.double(), lengths)[0].sum().backward()
        gradients = [parameter.grad for parameter in layer.parameters()]
        assert all(gradient is None or bool((gradient == 0).all()) for gradient in gradients)


@EVERY
def test_a_state_may_be_of_another_precision(kind):
    layer = made(kind, bidirectional=False)
    x, state = torch.randn(2, 5, INPUT, dtype=torch.float64), started(layer, 2)
    single = tuple(part.float() for part in parts(state))
    y, _ = layer(x, None, single if len(single) > 1 else single[0])
    torch.testing.assert_close(y, layer(x, None, state)[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("forget", ["sigmoid", "exponential"])
def test_an_slstm_remembers_from_the_start_whatever_its_gates_and_precision(forget):
    torch.manual_seed(0)
    cell = SLSTMCell(forget=forget)
    layer = SLSTM(3, 8, cell=cell)
    opened = layer.stack.at(0)[0].bias_ih[8:16].detach()
    opened = opened.sigmoid() if forget == "sigmoid" else opened.exp()
    assert 0.7 < opened.min().item() < 0.75
    assert 0.99 < opened.max().item() < 1.0
    initialise(layer, chrono=50)
    x = torch.randn(1, 40, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(x)[1][1].sum(), x)
    assert gradient[0, 0].abs().max().item() > 1e-4
    sums = torch.tensor([[-20.0, 6.0, 1.0, 0.0]], dtype=torch.float16)  # a first step with its gate nearly closed
    nothing = tuple(torch.zeros(1, 1, dtype=torch.float16) for _ in range(4))
    (h, *_) = cell.advance(sums, torch.zeros_like(sums), nothing, ())
    assert h.item() == pytest.approx(0.5 * math.tanh(1.0), abs=1e-3)
