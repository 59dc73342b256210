"""Decoders and attention: equations against a direct computation, and what must not change a result."""

import itertools

import pytest
import torch

from lstmapps.nn import AttentionDecoder, DecoderSettings, Seq2SeqNetwork, TokenEmbedding
from lstmapps.nn.attention import attention
from lstmapps.nn.encoders import ConvRecurrentEncoder

KINDS = ["dot", "general", "additive", "location", "multihead"]
DECODERS = [
    {"attention": kind, "feeding": feeding, "recurrent": cell, "num_layers": layers}
    for kind, feeding, cell, layers in itertools.product(
        ["none", *KINDS], ["none", "input", "context"], ["lstm", "gru"], [1, 3]
    )
    if (kind, feeding) != ("none", "context")
]
DECODERS += [
    {"attention": "additive", "bridge": "mean", "gate": True, "feeding": feeding} for feeding in ("none", "context")
]
DECODERS += [
    {"attention": kind, "sentinel": True, "feeding": feeding}
    for kind, feeding in itertools.product(["general", "additive", "multihead"], ["none", "input"])
]
LENGTHS = torch.tensor([5, 0, 3, 1])


def memory(lengths=LENGTHS, size=8, seed=0):
    y = torch.randn(len(lengths), 5, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    for row, length in zip(y, lengths.tolist(), strict=True):
        row[length:] = 0.0
    return y


def decoder(**settings):
    torch.manual_seed(0)
    made = AttentionDecoder(7, 8, DecoderSettings(embedding_size=6, hidden_size=8, heads=2, **settings))
    return made.double().eval()


def by_steps(decoder, tokens, y, lengths):
    state, logits, attended = decoder.init_state(y, lengths), [], []
    for step in tokens.unbind(1):
        now, state, weights = decoder.step(step, state)
        logits.append(now)
        attended.append(weights)
    return torch.stack(logits, 1), torch.stack(attended, 1)


def tokens(rows=4, steps=6):
    drawn = torch.randint(1, 7, (rows, steps), generator=torch.Generator().manual_seed(1))
    drawn[:, 0] = 0
    return drawn


@pytest.mark.parametrize("settings", DECODERS, ids=lambda settings: "-".join(map(str, settings.values())))
@torch.no_grad()
def test_a_known_text_at_once_is_its_steps_and_neither_padding_nor_other_rows_change_them(settings):
    made = decoder(residual=True, layer_norm=True, **settings)
    y, written = memory(), tokens()
    vectors, attended = made(written, y, LENGTHS)
    logits, weights = by_steps(made, written, y, LENGTHS)
    torch.testing.assert_close(made.output(vectors), logits)
    torch.testing.assert_close(attended, weights)
    for row, length in enumerate(LENGTHS.tolist()):
        if length:
            alone = by_steps(made, written[row : row + 1], y[row : row + 1, :length], LENGTHS[row : row + 1])
            torch.testing.assert_close(alone[0][0], logits[row])
            torch.testing.assert_close(alone[1][0], weights[row, :, :length])
        assert not weights[row, :, length:].any()


@pytest.mark.parametrize("settings", DECODERS[::5], ids=lambda settings: "-".join(map(str, settings.values())))
@torch.no_grad()
def test_reordered_rows_go_on_as_they_were(settings):
    made = decoder(**settings)
    y, written, index = memory(), tokens(), torch.tensor([2, 2, 0])
    expected, _ = by_steps(made, written, y, LENGTHS)
    state = made.init_state(y, LENGTHS)
    for step in range(3):
        _, state, _ = made.step(written[:, step], state)
    state = made.reorder(state, index)
    for step in range(3, 6):
        logits, state, _ = made.step(written[index, step], state)
        torch.testing.assert_close(logits, expected[index, step])


def direct_scores(kind, layer, query, keys, before):
    if kind == "dot":
        return keys @ query
    if kind == "general":
        return keys @ layer.key.weight.T @ query
    sums = layer.query.weight @ query + keys @ layer.key.weight.T + layer.key.bias
    if kind == "location":
        width = layer.convolution.kernel_size[0] // 2
        padded = torch.nn.functional.pad(before, (width, width))
        windows = padded.unfold(0, 2 * width + 1, 1)
        sums = sums + windows @ layer.convolution.weight[:, 0].T @ layer.location.weight.T
    return sums.tanh() @ layer.score.weight[0]


@pytest.mark.parametrize("kind", ["dot", "general", "additive", "location"])
@torch.no_grad()
def test_attention_is_what_its_equation_says(kind):
    torch.manual_seed(0)
    layer, y = attention(kind, 8, 8).double(), memory()
    query, before = torch.randn(4, 1, 8, dtype=torch.float64), torch.rand(4, 5, dtype=torch.float64)
    before[torch.arange(5) >= LENGTHS.unsqueeze(1)] = 0.0
    context, weights = layer(query, layer.memory(y, LENGTHS), before)
    for row, length in enumerate(LENGTHS.tolist()):
        expected = direct_scores(kind, layer, query[row, 0], y[row], before[row])[:length].softmax(dim=0)
        torch.testing.assert_close(weights[row, 0, :length], expected)
        torch.testing.assert_close(context[row, 0], expected @ y[row, :length])


@torch.no_grad()
def test_multi_head_attention_is_torch_s():
    torch.manual_seed(0)
    layer, y = attention("multihead", 8, 8, heads=2).double(), memory()
    oracle = torch.nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    oracle.in_proj_weight.copy_(torch.cat([layer.query.weight, layer.key.weight, layer.value.weight]))
    oracle.in_proj_bias.copy_(torch.cat([layer.query.bias, layer.key.bias, layer.value.bias]))
    oracle.out_proj.weight.copy_(layer.out.weight)
    oracle.out_proj.bias.copy_(layer.out.bias)
    rows = LENGTHS > 0  # torch gives NaN for a row of no steps
    query, held = torch.randn(4, 3, 8, dtype=torch.float64), layer.memory(y, LENGTHS)
    context, weights = layer(query, held)
    expected = oracle(query[rows], y[rows], y[rows], key_padding_mask=held.padding[rows])
    torch.testing.assert_close(context[rows], expected[0])
    torch.testing.assert_close(weights[rows], expected[1])


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_learns_and_an_empty_row_gives_no_nan(kind):
    made = decoder(attention=kind, feeding="input", num_layers=2, layer_norm=True).train()
    y = memory().requires_grad_()
    vectors, _ = made(tokens(), y, LENGTHS)
    made.output(vectors).logsumexp(dim=2).sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    assert y.grad.isfinite().all()


def test_variational_dropout_drops_the_same_features_at_every_step():
    made = decoder(attention="none", bridge="none", dropout=0.5, variational=True, feeding="input").train()
    vectors, _ = made(tokens(), memory(), LENGTHS)
    dropped = vectors == 0.0
    assert dropped.any()
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    made = decoder(attention="none", bridge="none", dropout=0.5, feeding="input").train()
    dropped = made(tokens(), memory(), LENGTHS)[0] == 0.0
    assert not torch.equal(dropped, dropped[:, :1].expand_as(dropped))


def network(**settings):
    torch.manual_seed(0)
    encoder = ConvRecurrentEncoder(6, [], 4, 1)
    return Seq2SeqNetwork(TokenEmbedding(7, 6), encoder, {"embedding_size": 6, "hidden_size": 8}, 7, **settings)


def test_shared_embeddings_are_one_and_stay_one_when_symbols_change():
    made = network(joint=True)
    made.change_symbols([0, 2, None, 1])
    assert made.frontend.embedding.weight is made.decoder.embedding.weight is made.decoder.output.weight
    assert len(made.decoder.output.weight) == len(made.decoder.output.bias) == 4
    assert made.decoder.output.out_features == 4
    apart = network()
    assert apart.frontend.embedding.weight is not apart.decoder.embedding.weight
    assert apart.decoder.output.weight is apart.decoder.embedding.weight


@torch.no_grad()
def test_a_reversed_text_is_reversed_inside_its_length_and_unknown_symbols_are_zero():
    x, lengths = torch.tensor([[1, 2, 3], [4, 0, 0]]).unsqueeze(2), torch.tensor([3, 1])
    plain, reverse = TokenEmbedding(5, 2), TokenEmbedding(5, 2, reverse=True)
    reverse.load_state_dict(plain.state_dict())
    straight, _ = plain(x, lengths)
    turned, _ = reverse(x, lengths)
    torch.testing.assert_close(turned[0], straight[0].flip(0))
    torch.testing.assert_close(turned[1], straight[1])
    assert not straight[1, 1:].any()
    assert not plain(torch.tensor([[[1], [0], [2]]]), torch.tensor([3]))[0][0, 1].any()


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"hidden_size": 0}, "at least 1"),
        ({"dropout": 1.0}, "dropout"),
        ({"attention": "none", "feeding": "context"}, "no context"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, fault):
    with pytest.raises(ValueError, match=fault):
        DecoderSettings(**settings)


def test_an_encoder_of_a_text_skips_no_symbol():
    encoder = ConvRecurrentEncoder(6, [{"channels": 2, "stride": (2, 1)}], 4, 1)
    with pytest.raises(ValueError, match="leave out strides"):
        Seq2SeqNetwork(TokenEmbedding(7, 6), encoder, {"embedding_size": 6, "hidden_size": 8}, 7)


def test_attention_of_sizes_that_do_not_fit_is_refused():
    with pytest.raises(ValueError, match="one size"):
        attention("dot", 4, 6)
    with pytest.raises(ValueError, match="divide"):
        attention("multihead", 8, 8, heads=3)
    with pytest.raises(ValueError, match="choose"):
        attention("cross", 8, 8)


def test_a_gate_scales_the_context_by_one_number_of_the_query():
    made = decoder(gate=True)
    y = memory()
    with torch.no_grad():
        made.gate.weight.zero_()
        made.gate.bias.fill_(-1e9)
    closed, _ = made(tokens(), y, LENGTHS)
    with torch.no_grad():
        made.combine.weight[:, 8:] = 0.0
    without, _ = made(tokens(), y, LENGTHS)
    torch.testing.assert_close(closed, without)
    with torch.no_grad():
        made.gate.bias.fill_(0.0)
    query, state = torch.randn(4, 2, 8, dtype=torch.float64), made.init_state(y, LENGTHS)
    torch.testing.assert_close(made._attend(query, state)[0], 0.5 * made.attention(query, state.memory)[0])


def test_a_bridge_of_the_mean_sees_every_step_alike():
    made = decoder(bridge="mean")
    y = memory()
    y[1] = 0.0
    first = made.init_state(y, LENGTHS).layers[0]
    means = torch.stack([row[: max(1, length)].mean(0) for row, length in zip(y, LENGTHS.tolist(), strict=True)])
    torch.testing.assert_close(torch.cat(first, dim=1), made.bridge(means).tanh())


def test_a_sentinel_takes_the_attention_that_places_do_not_get():
    made = decoder(sentinel=True)
    y, state = memory(), made.init_state(memory(), LENGTHS)
    x, before = made.embedding(tokens()[:, 1]), state.layers[0][0]
    _, after, weights = made.step(tokens()[:, 1], state)
    gate = made.sentinel.gate(torch.cat([x, before], 1)).sigmoid()
    remembered = made.sentinel.projection(gate * after.layers[0][1].tanh())
    places = torch.cat([y[0], remembered[:1]])  # the first row has no padding
    scores = made.attention.key(places) @ after.layers[0][0][0]
    torch.testing.assert_close(weights[0], scores.softmax(0)[:-1])
    assert (weights.sum(1) < 1).all()


@pytest.mark.parametrize("settings", [{"recurrent": "gru"}, {"feeding": "context"}, {"attention": "location"}])
def test_a_sentinel_that_cannot_be_is_refused(settings):
    with pytest.raises(ValueError, match="a sentinel is"):
        decoder(sentinel=True, **settings)
