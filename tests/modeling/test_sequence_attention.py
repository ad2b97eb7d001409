from __future__ import annotations

import pytest
import torch

from hf_mlc.modeling.label_sequences import BOS, EOS, LABEL_OFFSET, PAD
from hf_mlc.modeling.sequence_attention import SequenceTrace, token_weights_of, trace


# Two labels, A and B. Step 1 says A (.5), B (.3) or ends (.2); step 2, after A, B (.6) or ends (.4); then the end.
# Step t looks at tokens 0, 1, 2 by:
ATTENTION = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.0, 0.5, 0.5]])
PROBS = torch.tensor([[0.0, 0.0, 0.2, 0.5, 0.3], [0.0, 0.0, 0.4, 0.0, 0.6], [0.0, 0.0, 1.0, 0.0, 0.0]])


class Fake:
    """A decoder whose state is the number of steps taken, and that keeps what it was fed."""

    def __init__(self, batch_size: int = 1):
        self.batch_size, self.fed = batch_size, []

    def step(self, previous_B, state, memory):
        self.fed.append(previous_B.tolist())
        return PROBS[state].log().expand(self.batch_size, -1), state + 1

    def attention(self, state):
        return ATTENTION[state - 1].expand(self.batch_size, -1)

    def trace(self, **settings) -> SequenceTrace:
        return trace(self.step, self.attention, 0, None, batch_size=self.batch_size, **settings)


def test_greedy_follows_the_most_probable_labels_to_the_end():
    fake = Fake()
    found = fake.trace(max_steps=3)
    assert fake.fed == [[BOS], [LABEL_OFFSET], [LABEL_OFFSET + 1]]
    assert found.label_ids_BT.tolist() == [[0, 1, -1]] and found.label_lists() == [[0, 1]]
    torch.testing.assert_close(found.attention_BTm[0], ATTENTION)
    # alive: 1, 1 - .2, .8 (1 - .4)
    assert found.hazard_BTL[0].flatten().tolist() == pytest.approx([0.5, 0.3, 0.0, 0.8 * 0.6, 0.0, 0.0])


def test_given_sequences_are_followed_and_what_is_after_their_end_is_nothing():
    fake = Fake(2)
    found = fake.trace(sequences_BT=torch.tensor([[4, EOS, PAD], [3, 4, EOS]]))
    assert fake.fed == [[BOS, BOS], [4, 3], [EOS, 4]]  # the first has ended
    assert found.label_lists() == [[1], [0, 1]]
    torch.testing.assert_close(found.attention_BTm[0], torch.cat([ATTENTION[:2], torch.zeros(1, 3)]))
    assert found.hazard_BTL[0, 2].tolist() == [0, 0]


def test_the_step_that_ends_a_sequence_cut_before_its_end_is_taken_too():
    assert Fake().trace(sequences_BT=torch.tensor([[3]])).attention_BTm.shape == (1, 2, 3)
    assert Fake().trace(sequences_BT=torch.tensor([[EOS]])).attention_BTm.shape == (1, 1, 3)
    assert Fake().trace(sequences_BT=torch.zeros(1, 0, dtype=torch.long)).label_ids_BT.tolist() == [[-1]]


def test_a_greedy_sequence_needs_an_end():
    assert Fake().trace(max_steps=1).label_lists() == [[0]]
    with pytest.raises(ValueError, match="max_steps"):
        Fake().trace()


def test_a_generated_label_weighs_by_its_step_and_another_by_its_chances():
    found = Fake().trace(sequences_BT=torch.tensor([[3, EOS]]))
    weights = token_weights_of(found, torch.tensor([1, 0]))[0]
    # label B had the chances .3 and .8 x .6
    expected = (0.3 * ATTENTION[0] + 0.48 * ATTENTION[1]) / 0.78
    assert weights[0].tolist() == pytest.approx(expected.tolist())
    assert weights[1].tolist() == pytest.approx(ATTENTION[0].tolist())
    assert weights.sum(dim=1).tolist() == pytest.approx([1.0, 1.0])


def test_a_label_without_any_chance_weighs_by_all_steps_alike():
    found = Fake().trace(sequences_BT=torch.tensor([[3, EOS]]))
    found = found._replace(hazard_BTL=torch.zeros_like(found.hazard_BTL))
    expected = (ATTENTION[0] + ATTENTION[1]) / 2
    assert token_weights_of(found, torch.tensor([1]))[0, 0].tolist() == pytest.approx(expected.tolist())


def test_company_does_not_matter():
    both = Fake(2).trace(sequences_BT=torch.tensor([[EOS, PAD], [3, 4]]))
    alone = Fake().trace(sequences_BT=torch.tensor([[EOS]]))
    chosen = torch.tensor([0, 1])
    assert torch.equal(token_weights_of(both, chosen)[0], token_weights_of(alone, chosen)[0])
