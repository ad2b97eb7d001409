"""The set that several models find most probable together: against brute force over all label vectors; and the ensemble that asks."""

from __future__ import annotations

import pytest
import torch

from hf_mlc.modeling.configuration_ensemble import EnsembleConfig
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_ensemble import EnsembleForMultiLabelClassification
from hf_mlc.modeling.msdn_chain import WindowChain
from hf_mlc.modeling.msdn_decoding import ChainDecoder, OrderedChain
from hf_mlc.modeling.msdn_known_sets import SetFinder, pack_sets
from hf_mlc.modeling.msdn_voting import Voter, voted_sets

from .label_chains import added_by
from .ordered_chains import L, Orders


ALL = 2**L
WEIGHTS = [0.5, 0.3, 0.2]


def decoders(orders: Orders) -> list[ChainDecoder]:
    """A model an order, each of which names all sets."""
    return [ChainDecoder([chain], num_beams=ALL) for chain in orders.chains]


def vote(orders: Orders, models: list[ChainDecoder], weights: list[float], **settings) -> torch.Tensor:
    return voted_sets(models, [orders.logits_BL] * len(models), weights, **settings)


def mixed(log_probs_MBV: torch.Tensor, weights: list[float]) -> torch.Tensor:
    return torch.einsum("m,mbv->bv", torch.tensor(weights, dtype=torch.float64), log_probs_MBV.exp())


@pytest.mark.parametrize("seed", range(4))
def test_the_voted_set_has_the_highest_mean_probability_of_all(seed):
    orders = Orders(3, seed=seed, num_documents=20)
    voted_BL = vote(orders, decoders(orders), WEIGHTS)
    assert torch.equal(voted_BL, orders.best(mixed(orders.log_probs_MBV, WEIGHTS)))


def test_a_set_that_is_nobodys_first_can_win():
    orders = Orders(3, seed=1, num_documents=60)
    voted_BL = vote(orders, decoders(orders), WEIGHTS)
    firsts_BML = torch.stack([orders.best(part) for part in orders.log_probs_MBV], dim=1)
    assert (~(firsts_BML == voted_BL[:, None]).all(dim=2).any(dim=1)).any()


def test_two_beams_name_nearly_what_all_sets_would_elect():
    """No exact search: with few beams an answer may be another one, and is never the better one."""
    orders = Orders(3, seed=6, num_documents=200)
    mixed_BV = mixed(orders.log_probs_MBV, WEIGHTS)
    models = [ChainDecoder([chain], num_beams=2) for chain in orders.chains]
    voted_B = (vote(orders, models, WEIGHTS) * 2 ** torch.arange(L)).sum(dim=1)
    share_B = mixed_BV.gather(1, voted_B[:, None]).squeeze(1) / mixed_BV.amax(dim=1)
    assert (share_B == 1).double().mean() > 0.9 and share_B.min() > 0.3
    assert (share_B < 1).any()


def test_the_orders_of_a_model_are_averaged_as_models_are_and_blocks_change_nothing():
    orders = Orders(3, seed=2, num_documents=9)
    models = [ChainDecoder(orders.chains[:2], num_beams=ALL), ChainDecoder(orders.chains[2:], num_beams=ALL)]
    voted_BL = vote(orders, models, [0.6, 0.4])
    assert torch.equal(voted_BL, orders.best(mixed(orders.log_probs_MBV, [0.3, 0.3, 0.4])))
    assert torch.equal(vote(orders, models, [0.6, 0.4], block_bytes=1), voted_BL)
    none_BL = voted_sets(models, [orders.logits_BL[:0]] * 2, [0.6, 0.4])
    assert none_BL.shape == (0, L) and none_BL.dtype == torch.bool


def test_a_chain_without_a_table_names_what_its_beams_find():
    orders = Orders(1, seed=7, num_documents=6)
    order_L, table_LS = orders.orders[0], orders.tables[0]
    window = OrderedChain(WindowChain(lambda labels_NL: added_by(table_LS, labels_NL), L), order_L)
    voted_BL = vote(orders, [ChainDecoder([window], num_beams=4)], [1.0])
    assert torch.equal(voted_BL, orders.best(orders.log_probs_MBV[0]))


def believed(orders: Orders, known_sets: str, numbers_S, counts_S) -> torch.Tensor:
    """What each order believes of all vectors with known sets, `(M, B, V)`: by the definition."""
    multiples_V = torch.zeros(ALL) if known_sets == "restrict" else torch.ones(ALL)
    if known_sets != "off":
        multiples_V[numbers_S] = 1.0 if known_sets == "restrict" else (1.0 + counts_S) ** 0.7
    return orders.log_probs_MBV.exp() * multiples_V


@pytest.mark.parametrize("known_sets", ["restrict", "favour"])
def test_known_sets_change_what_a_model_of_two_orders_believes(known_sets):
    orders = Orders(2, seed=3, num_documents=20)
    known, numbers_S, counts_S = orders.known()
    expected_BV = believed(orders, known_sets, numbers_S, counts_S).sum(dim=0)
    expected_BV = expected_BV / expected_BV.sum(dim=1, keepdim=True)
    model = ChainDecoder(orders.chains, num_beams=ALL, known=known, known_sets=known_sets, known_set_weight=0.7)
    voter = Voter(model, orders.logits_BL, 1.0)
    found_BV = voter.log_probs(orders.vectors_VL.expand(20, -1, -1), slice(0, 20))
    torch.testing.assert_close(found_BV.exp().double(), expected_BV, atol=1e-6, rtol=1e-4)
    assert torch.equal(vote(orders, [model], [1.0]), orders.best(expected_BV))


def test_models_with_other_rules_and_other_known_sets_vote_together():
    orders = Orders(3, seed=8, num_documents=40)
    rules = ("restrict", "favour", "off")
    models, of_models = [], []
    for number, (chain, known_sets) in enumerate(zip(orders.chains, rules, strict=True)):
        known, numbers_S, counts_S = orders.known(seed=number)
        settings = {"known": known, "known_sets": known_sets, "known_set_weight": 0.7}
        models.append(ChainDecoder([chain], num_beams=ALL, **settings))
        of_model_BV = believed(orders, known_sets, numbers_S, counts_S)[number]
        of_models.append(of_model_BV / of_model_BV.sum(dim=1, keepdim=True))
    assert torch.equal(vote(orders, models, WEIGHTS), orders.best(mixed(torch.stack(of_models).log(), WEIGHTS)))


def test_sets_that_are_too_small_lose_unless_there_is_no_other():
    orders = Orders(2, seed=4, num_documents=20)
    sizes_V = orders.vectors_VL.sum(dim=1)
    mixed_BV = mixed(orders.log_probs_MBV, [0.5, 0.5])
    voted_BL = vote(orders, decoders(orders), [0.5, 0.5], min_labels=4)
    assert torch.equal(voted_BL, orders.best(mixed_BV.masked_fill(sizes_V < 4, 0.0)))
    assert not torch.equal(voted_BL, orders.best(mixed_BV))
    # nobody names a set of so many labels
    models = [ChainDecoder([chain], num_beams=1) for chain in orders.chains]
    assert (vote(orders, models, [0.5, 0.5], min_labels=L).sum(dim=1) < L).any()


def test_restricted_models_name_known_sets_that_are_large_enough_or_refuse():
    orders = Orders(2, seed=5)
    known, numbers_S, _ = orders.known()
    models = [ChainDecoder([chain], num_beams=1, known=known, known_sets="restrict") for chain in orders.chains]
    largest = int(orders.vectors_VL[numbers_S].sum(dim=1).max())
    assert (vote(orders, models, [0.5, 0.5], min_labels=largest).sum(dim=1) == largest).all()
    with pytest.raises(ValueError, match=r"finds no known set of 8 labels \(`min_labels`\) or more"):
        vote(orders, models, [0.5, 0.5], min_labels=L + 1)


@pytest.mark.parametrize("num_labels", [3, 200])
def test_sets_are_found_in_a_list(num_labels):
    generator = torch.Generator().manual_seed(num_labels)
    drawn_NL = (torch.rand(400, num_labels, generator=generator) < 0.3).unique(dim=0)
    order_N = torch.randperm(len(drawn_NL), generator=generator)
    listed_SL, others_NL = drawn_NL[order_N].tensor_split(2)
    find = SetFinder(listed_SL)
    assert torch.equal(find(listed_SL), torch.arange(len(listed_SL)))
    assert (find(others_NL) == -1).all() and len(others_NL)
    assert find(listed_SL[:2, None]).shape == (2, 1)
    assert (SetFinder(listed_SL[:0])(others_NL) == -1).all()


# -- the ensemble ---------------------------------------------------------------------------------------------------------


KNOWN = [(1, 1, 0, 0, 0), (0, 0, 1, 0, 0), (0, 1, 0, 1, 0)]


def ensemble(*settings: dict, **fields) -> EnsembleForMultiLabelClassification:
    torch.manual_seed(3)
    sizes = {"num_labels": 5, "input_size": 4, "hidden_size": 8, "kernel_sizes": [2, 3], "hidden_dropout": 0.0}
    configs = [MsdnConfig(**sizes, **more) for more in settings]
    model = EnsembleForMultiLabelClassification(EnsembleConfig.of(configs, decision="sets", **fields)).eval()
    with torch.no_grad():  # relations start at 0
        for member in model.members:
            member.relations.output.normal_(std=2.0)
            member.head.weight.mul_(20)
            if member.config.known_sets != "off":
                member.known_sets.fill(pack_sets(torch.tensor(KNOWN)), torch.tensor([5, 2, 1]))
    return model


def table(rows: int = 12) -> dict[str, torch.Tensor]:
    return {"input_features": torch.randn(rows, 4, generator=torch.Generator().manual_seed(0)) * 2}


@torch.no_grad()
def test_an_ensemble_answers_with_the_set_that_its_members_find_most_probable(tmp_path):
    members = ({}, {"num_orders": 2, "document_relations": True}, {"label_order": "random"})
    model, batch = ensemble(*members, member_weights=[2.0, 1.0, 1.0]), table()
    output = model(**batch)
    vectors_VL = (torch.arange(32)[:, None] >> torch.arange(5) & 1).bool()
    probs_BV = 0.0
    for weight, member in zip((0.5, 0.25, 0.25), model.members, strict=True):
        alone = member(**batch)
        given = [
            member.logits_given(alone.base_logits, v.float().expand(12, -1), alone.relation_inputs) for v in vectors_VL
        ]
        of_orders = [
            torch.stack(
                [
                    torch.nn.functional.logsigmoid((2.0 * v - 1) * z).sum(dim=1)
                    for v, z in zip(vectors_VL, per_V, strict=True)
                ],
                dim=1,
            )
            for per_V in ([logits[:, order] for logits in given] for order in range(member.config.num_orders))
        ]
        probs_BV = probs_BV + weight * torch.stack(of_orders).exp().mean(dim=0)
    assert model.decides_on_sets and torch.equal(model.decide_output(output), output.chosen)
    assert torch.equal(output.chosen, vectors_VL[probs_BV.argmax(dim=1)])
    assert len(output.chosen.unique(dim=0)) > 1
    model.save_pretrained(tmp_path)
    loaded = EnsembleForMultiLabelClassification.from_pretrained(tmp_path)
    assert torch.equal(loaded(**batch).chosen, output.chosen) and loaded.config.decision == "sets"
    alone = torch.cat([model(input_features=row[None]).chosen for row in batch["input_features"]])
    assert torch.equal(alone, output.chosen)


@torch.no_grad()
def test_an_ensemble_of_models_that_know_their_sets_answers_with_these():
    restricted = {"known_sets": "restrict", "num_known_sets": 3}
    model, batch = ensemble(restricted, restricted), table(40)
    answered = {tuple(row) for row in model(**batch).chosen.int().tolist()}
    assert answered <= set(KNOWN) and KNOWN[1] in answered and len(answered) > 1
    model.config.min_labels = 2
    answered = {tuple(row) for row in model(**batch).chosen.int().tolist()}
    assert answered <= {KNOWN[0], KNOWN[2]}
    model.config.min_labels = 3
    with pytest.raises(ValueError, match="no known set of 3 labels"):
        model(**batch)


@torch.no_grad()
def test_answers_with_too_few_labels_are_filled_up_and_a_member_without_weight_has_no_say():
    model, batch = ensemble({}, {"label_order": "random"}, member_weights=[1.0, 0.0]), table(40)
    alone = ensemble({}, {"label_order": "random"}, member_weights=[1.0, 1.0])
    assert not torch.equal(model(**batch).chosen, alone(**batch).chosen)
    first = model.members[0]
    first.config.decision = "sets"
    assert torch.equal(model(**batch).chosen, first(**batch).chosen)
    model.config.min_labels = 5
    assert model(**batch).chosen.all()
