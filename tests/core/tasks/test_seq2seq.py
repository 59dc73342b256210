"""The loss of Seq2SeqTask, what it reads while it learns, and that it learns."""

import types

import pytest
import torch

from lstmapps.data import Batch, Sample
from lstmapps.lengths import padding_mask
from lstmapps.nn import ConvRecurrentEncoder, DecoderSettings
from lstmapps.scores import score_named
from lstmapps.tasks import Seq2SeqTask
from lstmapps.tasks.rewards import Rewards
from lstmapps.text import Vocabulary

LETTERS = Vocabulary(list("abcdef"))


def task(dropout=0.0, **settings):
    torch.manual_seed(0)
    encoder = ConvRecurrentEncoder(8, [], 8, 1)
    made = Seq2SeqTask(encoder, DecoderSettings(8, 16, dropout=dropout), LETTERS, LETTERS, scores=["exact"], **settings)
    made.trainer = types.SimpleNamespace(world_size=1, global_step=5, estimated_stepping_batches=10)
    made.log = lambda *_, **__: None
    made.lr_schedulers = list
    return made


def batch(texts):
    rows = [torch.tensor(LETTERS.encode(text)) for text in texts]
    lengths = torch.tensor([len(row) for row in rows])
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    samples = [Sample(text, text, text) for text in texts]
    return Batch(padded.unsqueeze(2), lengths, padded, lengths, samples)


TEXTS = ["abc", "f", "eddeca"]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_every_symbol_and_end_and_of_no_padding(smoothing):
    made, given = task(label_smoothing=smoothing), batch(TEXTS)
    losses, count = 0.0, 0
    for text in TEXTS:
        symbols = LETTERS.encode(text)
        x, lengths = torch.tensor(symbols).view(1, -1, 1), torch.tensor([len(symbols)])
        logits = made.network(x, lengths, torch.tensor([[0, *symbols]]))[0]
        logs = logits.log_softmax(dim=1)
        for place, symbol in enumerate([*symbols, 0]):
            losses -= (1 - smoothing) * logs[place, symbol] + smoothing * logs[place].mean()
            count += 1
    torch.testing.assert_close(made.training_step(given, 0), losses / count, atol=1e-5, rtol=1e-5)


def test_scheduled_sampling_puts_in_the_network_s_own_symbols_more_and_more():
    made, given = task(scheduled_sampling=0.9), batch(TEXTS * 40)
    memory, lengths = made.network.encode(given.x, given.lengths)
    before = torch.nn.functional.pad(given.targets, (1, 0))
    own = made.network.decoder.output(made.network.decoder(before, memory, lengths)[0])[:, :-1].argmax(dim=2)
    shares = []
    for step in (0, 5, 10):
        made.trainer.global_step = step
        mixed = made._mixed(before, memory, lengths)
        assert not mixed[:, 0].any()
        changed = mixed[:, 1:] != before[:, 1:]
        assert torch.equal(mixed[:, 1:][changed], own[changed])
        could = (own != before[:, 1:]) & (own != 0) & ~padding_mask(given.target_lengths, own.shape[1])
        shares.append(float(changed[could].float().mean()))
    assert shares[0] == 0.0
    assert shares[1] == pytest.approx(0.45, abs=0.12)
    assert shares[2] == pytest.approx(0.9, abs=0.12)


@pytest.mark.parametrize("sampling", [0.0, 0.3])
def test_it_learns_to_copy(sampling):
    made, given = task(scheduled_sampling=sampling, label_smoothing=0.0), batch(["abc", "fed", "cab", "bead", "f"])
    optimiser = torch.optim.Adam(made.network.parameters(), lr=0.02)
    for _ in range(120):
        made.training_step(given, 0).backward()
        optimiser.step()
        optimiser.zero_grad()
    made.eval()
    made.on_validation_epoch_start()
    made.validation_step(given, 0)
    made.on_validation_epoch_end()
    assert [reading.hypothesis for reading in made.validation.readings] == sorted(["abc", "fed", "cab", "bead", "f"])


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"label_smoothing": 1.0}, "label_smoothing is a share"),
        ({"scheduled_sampling": -0.1}, "scheduled_sampling is a share"),
        ({"source_vocabulary": None}, "needs a frontend"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, fault):
    encoder = ConvRecurrentEncoder(8, [], 8, 1)
    with pytest.raises(ValueError, match=fault):
        Seq2SeqTask(encoder, DecoderSettings(8, 16), LETTERS, **{"source_vocabulary": LETTERS, **settings})


def test_coverage_adds_the_squares_of_what_each_step_lacks_of_being_attended_to_once():
    given = batch(TEXTS)
    plain, covered = task(label_smoothing=0.0), task(label_smoothing=0.0, coverage=2.0)
    lacking, count = 0.0, 0
    for text in TEXTS:
        symbols = LETTERS.encode(text)
        memory, lengths = plain.network.encode(torch.tensor(symbols).view(1, -1, 1), torch.tensor([len(symbols)]))
        _, attended = plain.network.decoder(torch.tensor([[0, *symbols]]), memory, lengths)
        lacking += (1.0 - attended[0].sum(0)).square().sum()
        count += len(symbols) + 1
    difference = covered.training_step(given, 0) - plain.training_step(given, 0)
    torch.testing.assert_close(difference, 2.0 * lacking / count, atol=1e-5, rtol=1e-4)


def test_rewards_are_above_the_mean_of_the_others_drawn():
    rewards = Rewards(score_named("exact"), 3)
    samples = [Sample("1", "x", "a b"), Sample("2", "x", "a c"), Sample("3", "y", "d")]
    rewards.know(samples)
    advantages, mean = rewards([samples[0], samples[2]], ["a b", "a c", "q", "d", "e", "e"])
    assert advantages == pytest.approx([50.0, 50.0, -100.0, 100.0, -50.0, -50.0])
    assert mean == pytest.approx(50.0)


def test_training_for_a_reward_raises_it():
    made, given = task(reward="chrf", draws=10), batch(["abc"] * 4)
    made.rewards.know(given.samples)
    rewards = []
    made.log = lambda name, value, **_: rewards.append(float(value)) if name == "train_reward" else None
    optimiser = torch.optim.Adam(made.parameters(), 0.01)
    for step in range(30):
        made.trainer.global_step = step
        optimiser.zero_grad()
        made.train().training_step(given, 0).backward()
        optimiser.step()
    assert sum(rewards[-5:]) > 1.2 * sum(rewards[:5])


def test_a_reward_is_learnt_from_what_drew_with_nothing_dropped():
    made, given = task(dropout=0.5, reward="chrf"), batch(TEXTS)
    made.rewards.know(given.samples)
    losses = [made.train().training_step(given, 0) for _ in range(2)]
    assert torch.equal(*losses)
    assert made.network.decoder.training


def test_stages_of_the_frontend_thaw_one_after_another():
    made = task()
    made.thaw = 2.0
    stages = [torch.nn.Linear(2, 2) for _ in range(3)]
    made.network.frontend.levels = lambda: stages
    for epoch, learning in ((0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (6, 3)):
        for parameter in (p for stage in stages for p in stage.parameters()):
            parameter.grad = torch.ones_like(parameter)
        made.trainer.current_epoch = epoch
        made.on_before_optimizer_step(None)
        assert [stage.weight.grad is not None for stage in stages] == [number >= 3 - learning for number in range(3)]


@pytest.mark.parametrize("settings", [{"coverage": 1.0, "reward": "cider_d"}, {"thaw": 1.0}, {"draws": 1}])
def test_settings_that_would_do_nothing_are_refused(settings):
    with pytest.raises(ValueError, match=r"coverage|thaw|draws"):
        task(**settings)
