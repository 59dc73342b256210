"""Which symbols stand for which, learnt from pairs."""

import random

from lstmapps.text import learn_lexicon


def test_the_likeliest_symbols_come_first_whatever_stands_beside_them():
    drawn = random.Random(0)
    pairs = []
    for _ in range(300):
        read = [drawn.randint(1, 9) for _ in range(drawn.randint(1, 6))]
        pairs.append((read, [10 - symbol for symbol in read] + [10]))  # 10 comes in every text, for nothing
    lexicon = learn_lexicon(pairs, 11, 11, 3)
    assert lexicon.shape == (11, 3)
    assert [row[0] for row in lexicon[1:10]] == [10 - symbol for symbol in range(1, 10)]
    assert lexicon[0, 0] == 10, "the most frequent"
    assert not lexicon[10].any(), "was never read"


def test_nothing_to_learn_from_is_a_lexicon_of_nothing():
    assert not learn_lexicon([([], [1]), ([1], [])], 3, 3, 2).any()
    assert not learn_lexicon([], 3, 3, 2).any()
