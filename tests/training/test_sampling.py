from __future__ import annotations

from hf_mlc.training.sampling import LengthGroupedEpochSampler


LENGTHS = [(7 * i) % 23 + 1 for i in range(103)]


def test_every_row_is_visited_once_an_epoch():
    assert sorted(LengthGroupedEpochSampler(LENGTHS, 8, seed=1)) == list(range(103))


def test_the_order_depends_on_seed_and_epoch_alone():
    sampler, again = LengthGroupedEpochSampler(LENGTHS, 8, seed=1), LengthGroupedEpochSampler(LENGTHS, 8, seed=1)
    first = list(sampler)
    assert list(sampler) == first  # asked twice, the same epoch
    for epoch in range(4):
        again.set_epoch(epoch)
    sampler.set_epoch(3)  # as a resumed run jumps to it
    assert list(sampler) == list(again) != first
    assert list(LengthGroupedEpochSampler(LENGTHS, 8, seed=2)) != first


def test_batches_hold_rows_of_like_length():
    order = list(LengthGroupedEpochSampler(LENGTHS, 8, seed=0))
    batches = [[LENGTHS[row] for row in order[start : start + 8]] for start in range(0, 96, 8)]
    # 103 rows with lengths 1..23 sorted into batches of 8: none can span more than a few lengths
    assert max(max(batch) - min(batch) for batch in batches) <= 3


def test_the_short_batch_comes_last():
    order = list(LengthGroupedEpochSampler(LENGTHS, 8, seed=0, batches_per_pool=4))
    # pools of 32: 103 = 3 x 32 + 7, so twelve whole batches and seven rows over
    assert len(order) == 103
    last = sorted(LENGTHS[row] for row in order[-7:])
    pool_of_seven = order[-7:]
    assert len(set(pool_of_seven)) == 7 and last == [LENGTHS[row] for row in pool_of_seven]
