"""The convolutions over the label axis: what each label sees, the equations worked out slowly, tables of states, counts."""

from __future__ import annotations

import pytest
import torch
from transformers import set_seed

from hf_mlc.comparing.arms.label_recurrence import LabelChain
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.msdn_relations import CausalRelations, ParallelRelations


CHAINS = (
    {"kernel_sizes": [2, 4]},
    {"kernel_sizes": [1]},
    {"kernel_sizes": [2, 8, 3]},  # wider than there are labels
    {"kernel_sizes": [2], "dilations": [2, 1]},
    {"kernel_sizes": [3], "num_orders": 3},
)


def causal(*, num_labels: int = 7, **settings) -> CausalRelations:
    """Relations in float64 and evaluation mode, with an output that isn't 0."""
    set_seed(0)
    config = MsdnConfig(num_labels=num_labels, channels=8, label_embedding_size=2, **settings)
    relations = CausalRelations(config).double().eval()
    torch.nn.init.normal_(relations.output)
    return relations


def all_vectors(num_labels: int, num_orders: int = 1) -> torch.Tensor:
    """All 2^L answers, `(V, M, L)`."""
    vectors = torch.arange(2**num_labels)[:, None] >> torch.arange(num_labels) & 1
    return vectors[:, None].expand(-1, num_orders, -1).double()


@pytest.mark.parametrize("settings", CHAINS, ids=str)
def test_no_label_sees_itself_or_what_comes_after_and_each_sees_as_far_as_it_reaches(settings):
    relations = causal(**settings)
    num_orders, num_labels, _ = relations.output.shape
    seen = torch.zeros(num_labels, num_labels, dtype=torch.bool)
    for seed in range(8):  # a ReLU may be shut for some answers
        history = torch.rand(
            1, num_orders, num_labels, dtype=torch.double, generator=torch.Generator().manual_seed(seed)
        )
        jacobian = torch.autograd.functional.jacobian(relations, history)[0, :, :, 0]  # M, j, M, i
        for order in range(num_orders):
            others = [other for other in range(num_orders) if other != order]
            assert not jacobian[order][:, others].any()  # orders know nothing of each other
            seen |= jacobian[order, :, order] != 0
    j, i = torch.meshgrid(torch.arange(num_labels), torch.arange(num_labels), indexing="ij")
    assert not seen[i >= j].any()
    assert not seen[i < j - relations.reach].any()
    assert seen[(i < j) & (i >= j - relations.reach)].all()


@pytest.mark.parametrize("settings", CHAINS, ids=str)
def test_relation_logits_are_those_of_the_equations_worked_out_slowly(settings):
    relations = causal(**settings)
    num_orders, num_labels, _ = relations.output.shape
    answers = (torch.rand(2, num_orders, num_labels, generator=torch.Generator().manual_seed(1)) > 0.5).double()
    found = relations(answers)
    for document in range(2):
        for order in range(num_orders):
            y, embeddings = answers[document, order], relations.label_embeddings[order]
            signal = [torch.cat([torch.stack([2 * y[j] - 1, torch.ones_like(y[j])]), y[j] * embeddings[j]]) for j in range(num_labels)]  # fmt: skip
            maps = []
            for j in range(num_labels):
                parts = []
                for convolution in relations.convolutions:
                    k, value = convolution.kernel_size, convolution.bias[order].clone()
                    for tap in range(k):
                        if j - k + tap >= 0:  # the last tap reads label j-1
                            value = value + convolution.weight[order, :, :, tap] @ signal[j - k + tap]
                    parts.append(value.relu())
                maps.append(torch.cat(parts))
            for block in relations.blocks:
                k, after = block.kernel_size, []
                for j in range(num_labels):
                    value = block.bias[order].clone()
                    for tap in range(k):
                        place = j - block.dilation * (k - 1 - tap)
                        if place >= 0:
                            value = value + block.weight[order, :, :, tap] @ maps[place]
                    after.append(maps[j] + value.relu())
                maps = after
            expected = torch.stack([relations.output[order, j] @ maps[j] for j in range(num_labels)])
            torch.testing.assert_close(found[document, order], expected)


@pytest.mark.parametrize("num_labels", [1, 2, 5])
@pytest.mark.parametrize("settings", [s for s in CHAINS if "dilations" not in s], ids=str)
def test_the_table_of_states_holds_every_relation_logit(settings, num_labels):
    relations = causal(num_labels=num_labels, **settings)
    num_orders = len(relations.output)
    vectors = all_vectors(num_labels, num_orders)
    expected, tables = relations(vectors), relations.state_tables()
    assert tables.shape == (num_orders, num_labels, 2**relations.largest_kernel)
    for row, vector in enumerate(vectors[:, 0].long().tolist()):
        for j in range(num_labels):
            state = sum(vector[j - 1 - bit] << bit for bit in range(relations.largest_kernel) if j - 1 - bit >= 0)
            torch.testing.assert_close(tables[:, j, state], expected[row, :, j])
            # a bit of a label before the first one changes nothing
            if j < relations.largest_kernel:
                torch.testing.assert_close(tables[:, j, state | 1 << j], expected[row, :, j])


@pytest.mark.parametrize("settings", CHAINS, ids=str)
def test_a_step_is_the_whole_at_one_position_from_a_window_alone(settings):
    relations = causal(**settings)
    num_orders, num_labels, _ = relations.output.shape
    vectors = all_vectors(num_labels, num_orders)[::5]
    expected = relations(vectors)
    for position in range(num_labels):
        window = torch.nn.functional.pad(vectors[:, :, :position], (relations.reach, 0))[:, :, -relations.reach :]
        torch.testing.assert_close(relations.step(window, position), expected[:, :, position])
        garbage = window.clone()
        garbage[:, :, : max(0, relations.reach - position)] = 1  # places before the first label
        torch.testing.assert_close(relations.step(garbage, position), expected[:, :, position])


def test_one_order_by_itself_is_its_part_of_the_whole():
    relations = causal(kernel_sizes=[2, 3], num_orders=3)
    vectors = all_vectors(7)[:, 0]
    for number in range(3):
        one = relations.of_order(number)
        expected = relations(vectors[:, None].expand(-1, 3, -1))[:, number]
        torch.testing.assert_close(one(vectors), expected)
        torch.testing.assert_close(one.step(vectors[:, :5], 5), expected[:, 5])
        torch.testing.assert_close(one.state_table(), relations.state_tables()[number])


def test_dilated_blocks_have_no_table():
    with pytest.raises(ValueError, match="`dilations`"):
        causal(kernel_sizes=[2], dilations=[2]).state_tables()


def test_relations_start_at_nothing_and_dropout_is_of_training_alone():
    config = MsdnConfig(num_labels=7, relation_dropout=0.5)
    set_seed(0)
    relations = CausalRelations(config)
    answers = all_vectors(7).float()
    assert not relations(answers).any()
    torch.nn.init.normal_(relations.output)
    assert not torch.equal(relations.train()(answers), relations(answers))
    assert torch.equal(relations.eval()(answers), relations(answers))


def test_labels_are_told_apart():
    """One kernel for all labels, yet the same neighbours say different things to different labels, and of them."""
    relations = causal(kernel_sizes=[1], num_labels=6)
    none = relations(torch.zeros(1, 1, 6, dtype=torch.double))[0, 0]
    assert len(none[1:].unique()) == 5  # by the output vectors alone
    relations.output.data[:] = relations.output[:, :1]
    one = relations(torch.eye(6, dtype=torch.double)[:, None])[:, 0]
    after = torch.stack([one[j, j + 1] for j in range(5)])
    assert len(after.unique()) > 1  # by the label vectors


# -- the parallel form


def parallel(**settings) -> tuple[ParallelRelations, torch.Tensor, torch.Tensor]:
    """Relations with an output that isn't 0, base logits and document vectors."""
    set_seed(0)
    given = {
        "num_labels": 7,
        "hidden_size": 5,
        "kernel_sizes": [3, 5],
        "channels": 3,
        "label_embedding_size": 2,
        **settings,
    }
    config = MsdnConfig(variant="parallel", **given)
    relations = ParallelRelations(config).double().eval()
    torch.nn.init.normal_(relations.output.weight)
    shape = (2, config.num_orders, config.num_labels)
    return relations, torch.randn(shape, dtype=torch.double), torch.randn(2, 5, dtype=torch.double)


def test_each_step_refines_the_guesses_of_the_one_before():
    relations, base, documents = parallel(refinement_steps=3, label_mask_rate=1)
    refined = relations(base, documents)
    assert len(refined) == 3
    projected, guesses = relations.projection(documents), base[:, 0].sigmoid()
    for found in refined:
        signal = torch.cat(
            [
                guesses[:, None],
                relations.label_embeddings[0].T.expand(2, -1, -1),
                projected[..., None].expand(-1, -1, 7),
            ],
            dim=1,
        )
        maps = [
            torch.nn.functional.conv1d(signal, conv.weight[0], conv.bias[0], padding=conv.kernel_size // 2).relu()
            for conv in relations.convolutions
        ]
        added = torch.nn.functional.conv1d(
            torch.cat(maps, dim=1), relations.output.weight[0], relations.output.bias[0]
        )
        torch.testing.assert_close(found[:, 0], base[:, 0] + added[:, 0])
        guesses = found[:, 0].sigmoid()


def test_a_shown_answer_takes_the_place_of_the_guess_and_is_marked():
    relations, base, documents = parallel(num_orders=2)
    hidden = torch.full_like(base, -1)
    torch.testing.assert_close(relations(base, documents, hidden)[-1], relations(base, documents)[-1])
    shown = hidden.clone()
    shown[:, :, 3] = 1
    moved = base.clone()
    moved[:, :, 3] += 5  # what the model would have guessed no longer matters to its neighbours
    with_guess, without = relations(moved, documents, shown)[-1], relations(base, documents, shown)[-1]
    torch.testing.assert_close(with_guess - moved, without - base)
    sure = base.clone()
    sure[:, :, 3] = 50.0
    told, believed = relations(base, documents, shown)[-1], relations(sure, documents)[-1]
    assert not torch.allclose((told - base)[:, :, 2], (believed - sure)[:, :, 2])  # knowing isn't believing


def test_a_model_that_was_never_shown_a_label_cannot_be_told_one():
    relations, base, documents = parallel(label_mask_rate=1)
    with pytest.raises(ValueError, match="`label_mask_rate` 1"):
        relations(base, documents, torch.ones_like(base))


@pytest.mark.parametrize("num_labels", [1, 2, 3])
def test_few_labels_and_wide_kernels(num_labels):
    relations, base, documents = parallel(num_labels=num_labels, kernel_sizes=[2, 4, 8])
    assert relations(base, documents)[-1].shape == base.shape
    assert causal(num_labels=num_labels, kernel_sizes=[2, 4, 8])(all_vectors(num_labels)).isfinite().all()


# -- how many parameters


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("num_labels", [14, 53, 159, 983])
def test_parameters_are_those_of_the_formula(num_labels):
    # C = e + 2 = 6: (6 x 2 x 8 + 8) + (6 x 4 x 8 + 8) + (6 x 8 x 8 + 8) = 696; each label 3 x 8 outputs and 4 of its vector
    assert count(CausalRelations(MsdnConfig(num_labels=num_labels))) == 696 + 28 * num_labels
    config = MsdnConfig(num_labels=num_labels, variant="parallel", kernel_sizes=[3, 5, 7], label_mask_rate=1)
    # C = 1 + 2e = 9: 9 x 15 x 8 + 3 x 8 = 1104; output 25; from the document 256 x 4 + 4 = 1028; label vectors
    assert count(ParallelRelations(config)) == 1104 + 25 + 1028 + 4 * num_labels


@pytest.mark.parametrize("num_labels", [1, 6, 14, 53])
def test_relations_take_less_than_a_twentieth_of_the_recurrent_baseline(num_labels):
    chain = LabelChain(num_labels=num_labels, document_size=256, order=range(num_labels), size=256)
    # the recurrence alone: without what reads the document, label vectors and read-outs, which it has besides
    recurrent = count(chain.recurrence)
    assert recurrent == 3 * 256 * (66 + 256 + 2)
    assert count(CausalRelations(MsdnConfig(num_labels=num_labels))) < 0.05 * recurrent
    assert count(ParallelRelations(MsdnConfig(num_labels=num_labels, variant="parallel"))) < 0.05 * recurrent
