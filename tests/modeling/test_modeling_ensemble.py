"""Several models as one: the common tests, and that it is their mean."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers.utils import logging as transformers_logging

from hf_mlc.ensembles import make_ensemble
from hf_mlc.errors import UserError
from hf_mlc.inference import LoadedModel
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_ensemble import EnsembleConfig
from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.label_sequences import EOS, LABEL_OFFSET
from hf_mlc.modeling.modeling_ensemble import EnsembleForMultiLabelClassification, join_sets
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from hf_mlc.modeling.msdn_known_sets import pack_sets
from hf_mlc.modeling.processing_table import TableFeatureExtractor
from hf_mlc.modeling.set_scores import best_set, merge_sets
from tests.common.plant_tester import PlantModelTester

from .model_tester import MultiLabelModelTesterMixin, build, some_targets


SHARED = {field.name for field in dataclasses.fields(MultiLabelConfig)} | {"num_labels", "member_weights", "decision"}
SMALL_SGM = {"vocab_size": 40, "hidden_size": 8, "decoder_size": 8, "num_beams": 3, "embedding_size": 8}
SMALL_SGM |= {"word_dropout": 0.0, "embedding_dropout": 0.0, "hidden_dropout": 0.0, "decoder_dropout": 0.0}


class EnsembleTester(PlantModelTester):
    """An ensemble of two PLANT models of different encoders."""

    config_class, model_class = EnsembleConfig, EnsembleForMultiLabelClassification

    def __init__(self, *encoders: str, weights: list[float] | None = None):
        super().__init__(encoder=encoders[0])
        self.encoders, self.member_weights = encoders, weights

    def __str__(self) -> str:
        return "+".join(self.encoders)

    @property
    def compiles_whole(self) -> bool:
        return True

    def get_config(self, **overrides) -> EnsembleConfig:
        own = {name: value for name, value in overrides.items() if name in SHARED}
        members = []
        for encoder in self.encoders:
            self.encoder = encoder
            members.append(
                PlantModelTester.get_config(self, **{k: v for k, v in overrides.items() if k not in SHARED})
            )
        fields = {"num_labels": self.num_labels, "member_weights": self.member_weights, **own}
        config = EnsembleConfig.of(members)
        return EnsembleConfig(members=config.members, **fields)

    def prepare(self, model) -> None:
        """Nothing is planted."""


class TestEnsemble(MultiLabelModelTesterMixin):
    testers = (
        EnsembleTester("bag_of_words", "convolution"),
        EnsembleTester("transformer", "bag_of_words", weights=[3.0, 1.0]),
    )

    def test_it_is_the_weighted_mean_of_its_members_probabilities(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        with torch.no_grad():
            parts = [member(**batch).logits.double().sigmoid() for member in model.members]
            found = model(**batch).logits.double().sigmoid()
        weights = tester.member_weights or [1.0, 1.0]
        expected = sum(weight * part for weight, part in zip(weights, parts, strict=True)) / sum(weights)
        torch.testing.assert_close(found, expected, atol=1e-7, rtol=1e-6)
        assert (parts[0] - parts[1]).abs().max() > 1e-3

    def test_word_vectors_side_by_side_give_the_same_logits(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        vectors = model.get_input_embeddings()(batch["input_ids"])
        with torch.no_grad():
            expected = model(**batch).logits
            found = model(inputs_embeds=vectors, attention_mask=batch["attention_mask"]).logits
            chosen = torch.tensor([3, 1])
            torch.testing.assert_close(model.label_logits(chosen, **batch), expected[:, chosen])
            embedded = {"inputs_embeds": vectors, "attention_mask": batch["attention_mask"]}
            torch.testing.assert_close(model.label_logits(chosen, **embedded), expected[:, chosen])
        torch.testing.assert_close(found, expected)
        with pytest.raises(ValueError, match=r"side by side, 32 \+ 32 numbers, found 5"):
            model(inputs_embeds=vectors[..., :5])
        with pytest.raises(ValueError, match="exactly one"):
            model(inputs_embeds=vectors, input_ids=batch["input_ids"])

    def test_token_weights_are_the_mean_of_the_members(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        chosen = torch.tensor([0, 4])
        parts = [member.token_weights(chosen, **batch) for member in model.members]
        weights = model.weights
        torch.testing.assert_close(model.token_weights(chosen, **batch), weights[0] * parts[0] + weights[1] * parts[1])
        assert model.has_token_weights and weights[0] + weights[1] == pytest.approx(1.0)


def test_probabilities_beyond_float32_keep_their_order():
    tester = EnsembleTester("bag_of_words", "bag_of_words")
    model = build(tester)
    one, other = torch.tensor([[200.0, 100.0, -200.0, 30.0]]), torch.tensor([[100.0, 90.0, -300.0, -30.0]])
    found = model._averaged([one, other])[0]
    # 1 - p: (e^-200 + e^-100) / 2, ...;  -100 + log 2 = 99.3069;  of -200 and -300: -200 - log 2;  halfway: 0
    torch.testing.assert_close(found, torch.tensor([100.693147, 90.693102, -200.693147, 0.0]), atol=1e-4, rtol=0)
    alone = build(EnsembleTester("bag_of_words", "bag_of_words", weights=[1.0, 0.0]))
    torch.testing.assert_close(alone._averaged([one, other]), one)


def test_training_is_each_member_by_itself():
    tester = EnsembleTester("bag_of_words", "convolution", weights=[3.0, 1.0])
    model, batch = build(tester).train(), tester.collate(tester.documents())
    targets = some_targets(tester, 4)
    losses = [member(**batch, labels=targets).loss for member in model.members]
    torch.testing.assert_close(model(**batch, labels=targets).loss, 0.75 * losses[0] + 0.25 * losses[1])


def test_members_that_cannot_be_are_refused():
    plant = {"model_type": "plant", "vocab_size": 9}
    with pytest.raises(ValueError, match="`members` must name the configuration of one model or more, found none"):
        EnsembleForMultiLabelClassification(EnsembleConfig())
    for fields, message in (
        ({"members": [{"model_type": "bert"}]}, "must be of the types plant, sgm, msdn, found 'bert'"),
        ({"members": [{"model_type": "lanet"}] * 2}, "must be of the types plant, sgm, msdn, found 'lanet'"),
        ({"members": [plant], "member_weights": [1.0, 1.0]}, "one a member, found 2 for 1 members"),
        ({"members": [plant], "member_weights": [0.0]}, "not all 0"),
        ({"members": [plant, plant], "member_weights": [1.0, -1.0]}, "must not be negative"),
        ({"members": [plant], "decision": "sequence"}, "needs members that write label sequences, found"),
        ({"members": [plant], "decision": "sets"}, "needs members of the type msdn and the variant causal, found"),
        ({"members": [{"model_type": "msdn", "variant": "parallel"}], "decision": "sets"}, "1 of them parallel"),
    ):
        with pytest.raises(StrictDataclassClassValidationError, match=message):
            EnsembleConfig(**fields)


# -- members that write label sequences ---------------------------------------------------------------------------------


def sequence_ensemble(**fields) -> EnsembleForMultiLabelClassification:
    torch.manual_seed(3)
    configs = [
        SgmConfig(num_labels=5, embedding_std=1.0, **SMALL_SGM, **more) for more in ({}, {"decoder_cell": "gru"})
    ]
    model = EnsembleForMultiLabelClassification(EnsembleConfig.of(configs, **fields)).eval()
    with torch.no_grad():  # far from uniform
        for member in model.members:
            member.decoder.output.weight.mul_(6)
    return model


def documents() -> dict[str, torch.Tensor]:
    tester = PlantModelTester(encoder="bag_of_words")
    return tester.collate(tester.documents(6))


@torch.no_grad()
def test_marginals_of_sequence_models_are_averaged():
    model, batch = sequence_ensemble(), documents()
    parts = [member(**batch).logits.double().sigmoid() for member in model.members]
    torch.testing.assert_close(model(**batch).logits.double().sigmoid(), sum(parts) / 2, atol=1e-6, rtol=1e-5)
    assert model(**batch).chosen is None and not model.decides_on_sets


@torch.no_grad()
def test_the_chosen_set_is_the_one_that_all_together_find_most_probable():
    model, batch = sequence_ensemble(decision="sequence", member_weights=[2.0, 1.0]), documents()
    output = model(**batch)
    assert model.decides_on_sets and torch.equal(model.decide_output(output), output.chosen)
    together = [{} for _ in range(6)]
    for weight, member in zip((2 / 3, 1 / 3), model.members, strict=True):
        found = member(**batch, output_sequences=True)
        for row in range(6):
            total = found.sequence_scores[row].exp().sum().item()
            for ids, score in zip(
                found.sequences[row].tolist(), found.sequence_scores[row].exp().tolist(), strict=True
            ):
                labels = frozenset(number - LABEL_OFFSET for number in ids if number >= LABEL_OFFSET)
                together[row][labels] = together[row].get(labels, 0.0) + weight * score / total
    for row, shares in enumerate(together):
        assert sum(shares.values()) == pytest.approx(1.0, abs=1e-5)
        best = max(shares, key=shares.get)
        assert set(output.chosen[row].nonzero().flatten().tolist()) == best
    alone = [member(**batch, output_sequences=True) for member in model.members]
    singles = [best_set(merge_sets(one.sequences, one.sequence_scores), 5) for one in alone]
    assert any(not torch.equal(output.chosen, single) for single in singles)


def test_joined_sets_by_hand():
    # one model: {0} .6, {0, 1} .4; the other: {0, 1} .7, {} .3, its probabilities known up to a factor of 10
    end = EOS
    one = merge_sets(torch.tensor([[[3, end, 0], [4, 3, end]]]), torch.tensor([[0.6, 0.4]]).log())
    other = merge_sets(torch.tensor([[[3, 4, end], [end, 0, 0]]]), torch.tensor([[0.07, 0.03]]).log())
    joined = join_sets([one, other], [0.5, 0.5])
    # {0, 1}: .2 + .35;  {0}: .3;  {}: .15
    assert joined.label_ids[0, :3].tolist() == [[0, 1, -100, -100], [0, -100, -100, -100], [-100] * 4]
    torch.testing.assert_close(joined.weights[0], torch.tensor([0.55, 0.3, 0.15, 0.0]))


@torch.no_grad()
def test_an_ensemble_of_sequence_models_is_saved_and_loaded_whole(tmp_path):
    model, batch = sequence_ensemble(decision="expected_f1"), documents()
    model.save_pretrained(tmp_path)
    loaded = EnsembleForMultiLabelClassification.from_pretrained(tmp_path)
    expected, found = model(**batch), loaded(**batch)
    assert torch.equal(expected.logits, found.logits) and torch.equal(expected.chosen, found.chosen)
    assert isinstance(loaded.config.members[0], dict) and "id2label" not in loaded.config.members[0]
    assert [type(config) for config in loaded.config.member_configs()] == [SgmConfig, SgmConfig]


@torch.no_grad()
def test_models_of_label_relations_over_tables_are_averaged_and_saved(tmp_path):
    sizes = {"num_labels": 5, "input_size": 4, "hidden_size": 8, "kernel_sizes": [2]}
    configs = [MsdnConfig(**sizes, known_sets="restrict", num_known_sets=3), MsdnConfig(**sizes, variant="parallel")]
    model = EnsembleForMultiLabelClassification(EnsembleConfig.of(configs)).eval()
    model.members[0].known_sets.fill(pack_sets(torch.eye(5)[:3]), torch.tensor([2, 1, 1]))
    batch = {"input_features": torch.randn(6, 4, generator=torch.Generator().manual_seed(0))}
    parts = [member(**batch).logits.double().sigmoid() for member in model.members]
    output = model(**batch)
    torch.testing.assert_close(output.logits.double().sigmoid(), sum(parts) / 2, atol=1e-6, rtol=1e-5)
    assert output.chosen is None and not any(member.decides_on_sets for member in model.members)
    assert model.config.input_kind == "table" and model.input_modalities == ("table",)
    model.save_pretrained(tmp_path)
    loaded = EnsembleForMultiLabelClassification.from_pretrained(tmp_path)
    assert torch.equal(loaded(**batch).logits, output.logits)
    with pytest.raises(StrictDataclassClassValidationError, match="needs members that write label sequences"):
        EnsembleConfig.of(configs, decision="expected_f1")


def msdn_members(**settings) -> list[LoadedModel]:
    torch.manual_seed(0)
    space = LabelSpace([f"label {number}" for number in range(5)])
    sizes = {"num_labels": 5, "input_size": 2, "hidden_size": 4}
    extractor = TableFeatureExtractor(["a", "b"])
    return [
        LoadedModel(MsdnForMultiLabelClassification(MsdnConfig(**sizes, **settings)), extractor, space) for _ in "ab"
    ]


def test_chains_of_label_relations_decide_on_sets_together():
    made = make_ensemble(msdn_members(), names=["one", "other"])
    assert made.model.config.decision == "sets" and made.model.decides_on_sets
    made = make_ensemble(msdn_members(), names=["one", "other"], decision="thresholds")
    assert not made.model.decides_on_sets


@pytest.mark.parametrize("settings", [{"decision": "expected_f1"}, {"variant": "parallel"}])
def test_other_sets_of_models_of_label_relations_are_not_averaged(settings, caplog):
    members = msdn_members(**settings)
    transformers_logging.enable_propagation()
    made = make_ensemble(members, names=["one", "other"])
    transformers_logging.disable_propagation()
    assert made.model.config.decision == "thresholds" and "decides by thresholds" in caplog.text


def test_tables_must_have_been_read_alike():
    members = msdn_members()
    members[1] = LoadedModel(
        members[1].model, TableFeatureExtractor(["a", "b"], means=[1.0, 0.0]), members[1].label_space
    )
    with pytest.raises(UserError, match="train the second one on the same rows"):
        make_ensemble(members, names=["one", "other"])
    with pytest.raises(
        UserError, match="field 'decision': found 'votes'; accepted: thresholds, sequence, expected_f1, sets"
    ):
        make_ensemble(msdn_members(), names=["one", "other"], decision="votes")


@torch.no_grad()
def test_architectures_may_be_mixed_and_a_document_alone_gets_the_same_answer():
    torch.manual_seed(0)
    plant = PlantConfig(num_labels=5, vocab_size=40, encoder="bag_of_words", hidden_size=8)
    model = EnsembleForMultiLabelClassification(
        EnsembleConfig.of([plant, SgmConfig(num_labels=5, **SMALL_SGM)])
    ).eval()
    batch = documents()
    together = model(**batch).logits
    for row in range(6):
        alone = {
            name: value[row : row + 1, : int(batch["attention_mask"][row].sum())] for name, value in batch.items()
        }
        torch.testing.assert_close(model(**alone).logits, together[row : row + 1], atol=1e-5, rtol=1e-4)
    model.train()
    with torch.enable_grad():
        loss = model(**batch, labels=torch.ones(6, 5)).loss
    assert loss.isfinite()


def test_members_read_numbers_with_the_same_bins_in_half_precision_as_alone(tmp_path):
    settings = {"encoder": "mlp", "input_size": 1, "numeric_size": 1, "hidden_size": 16, "num_labels": 4}
    member = MsdnForMultiLabelClassification(MsdnConfig(**settings, numeric_embedding="piecewise_linear"))
    bins = next(module for module in member.modules() if hasattr(module, "fill_edges"))
    edges = torch.linspace(-1, 1.001, bins.edges.shape[1]).expand(bins.edges.shape)
    bins.fill_edges(edges)
    model = EnsembleForMultiLabelClassification(EnsembleConfig(members=[member.config.to_dict()], num_labels=4))
    model.members[0].load_state_dict(member.state_dict())
    model.save_pretrained(tmp_path)
    loaded = EnsembleForMultiLabelClassification.from_pretrained(tmp_path, dtype=torch.bfloat16)
    found = next(module for module in loaded.modules() if hasattr(module, "fill_edges")).edges
    assert loaded.dtype == torch.bfloat16 and found.dtype == torch.float32 and torch.equal(found, edges)


def test_scores_on_a_path_follow_each_member_s_own_choices_at_its_end():
    """As a member's alone do: a greedy sequence found anew at every point would make them jump."""
    model, rows = sequence_ensemble(), documents()
    one, other = ({name: value[row : row + 1] for name, value in rows.items()} for row in (0, 1))
    chosen_ids_S = torch.tensor([1, 3])
    path = model.path_inputs(**one)
    assert len(path) == len(model.members)
    parts = [member.label_logits(chosen_ids_S, **other, **member.path_inputs(**one)) for member in model.members]
    together = model.label_logits(chosen_ids_S, **other, **path)
    torch.testing.assert_close(together, model._averaged(parts))
    assert not torch.allclose(together, model.label_logits(chosen_ids_S, **other))
    torch.testing.assert_close(
        model.label_logits(chosen_ids_S, **one, **path), model.label_logits(chosen_ids_S, **one)
    )
