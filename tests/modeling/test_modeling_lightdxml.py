"""LightDXML: the common tests, and what is its own: lists, index, answers from both, smaller tables."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F

from hf_mlc.modeling import label_index
from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.losses import targets_from_ids
from hf_mlc.modeling.modeling_lightdxml import NOT_SCORED, LightDxmlForMultiLabelClassification
from tests.common.lightdxml_tester import LightDxmlModelTester

from .model_tester import MultiLabelModelTesterMixin


TESTERS = (
    LightDxmlModelTester(),
    LightDxmlModelTester(encoder="features", residual=False),
    LightDxmlModelTester(encoder="transformer", proxy="two_layer", label_bias=False),
)


class TestLightDxml(MultiLabelModelTesterMixin):
    testers = TESTERS


# -- lists in training -------------------------------------------------------------------------------------------------

IDS = torch.tensor([[2, 5, 9, 0], [3, 3, 4, 7], [8, 0, 0, 0], [6, 9, 2, 0]])
LABEL_IDS = torch.tensor([[1, 6, -100], [0, -100, -100], [11, 3, 4], [-100, -100, -100]])
LISTS = torch.tensor([[1, 6, 2, 5], [0, 7, 3, -1], [11, 3, 4, 10], [2, 9, -1, -1]])


def small(*, with_index: bool = False, **settings) -> LightDxmlForMultiLabelClassification:
    """A model of twelve labels, the last but one without training documents."""
    torch.manual_seed(0)
    config = LightDxmlConfig(
        **{
            "vocab_size": 10,
            "embed_dim": 8,
            "num_labels": 12,
            "shortlist_size": 5,
            "block_size": 5,
            "embedding_dropout": 0.0,
            "residual_dropout": 0.0,
            **settings,
        }
    )
    model = LightDxmlForMultiLabelClassification(config).eval()
    model.trained_labels[10] = False
    if with_index:
        model.set_index(torch.randn(12, 8, generator=torch.Generator().manual_seed(1)))
    return model


def all_logits(model) -> torch.Tensor:
    documents = model.encode(input_ids=IDS)
    return documents @ model.classifier.weight.T + model.classifier_bias.weight.squeeze(1)


def test_a_list_is_scored_by_its_labels_rows():
    model = small()
    expected = all_logits(model)
    found = model(input_ids=IDS, candidate_ids=LISTS)
    assert torch.equal(found.candidate_ids, LISTS)
    torch.testing.assert_close(
        found.logits[LISTS >= 0], expected.gather(1, LISTS.clamp(min=0))[LISTS >= 0], atol=1e-6, rtol=1e-5
    )
    assert (found.logits[LISTS < 0] == NOT_SCORED).all()
    shared = torch.tensor([9, 0, 4])
    torch.testing.assert_close(model(input_ids=IDS, candidate_ids=shared).logits, expected[:, shared])


def test_many_lists_are_read_off_the_scores_of_all_labels():
    lists, ids = LISTS.repeat(20, 1), IDS.repeat(20, 1)
    gradients = []
    for sparse in (False, True):  # with sparse gradients rows are looked up
        model = small(sparse_gradients=sparse).train()
        assert model._scores_all_at_once(torch.zeros(80, 8), lists) == (not sparse)
        output = model(input_ids=ids, candidate_ids=lists, label_ids=LABEL_IDS.repeat(20, 1))
        output.loss.backward()
        gradients.append((output.logits, model.classifier.weight.grad.to_dense()))
    for values, others in zip(*gradients, strict=True):
        torch.testing.assert_close(values, others)
    assert not model._scores_all_at_once(torch.zeros(4, 8), LISTS)


def test_the_loss_is_a_sum_over_the_list_and_a_mean_over_documents():
    model = small().train()
    logits = all_logits(model)
    cells = [
        F.binary_cross_entropy_with_logits(logits[row, label], torch.tensor(float(label in LABEL_IDS[row].tolist())))
        for row in range(4)
        for label in LISTS[row].tolist()
        if label >= 0
    ]
    found = model(input_ids=IDS, candidate_ids=LISTS, label_ids=LABEL_IDS).loss
    torch.testing.assert_close(found, torch.stack(cells).sum() / 4)
    found = model(input_ids=IDS, candidate_ids=LISTS, label_ids=LABEL_IDS, num_items_in_batch=16).loss
    torch.testing.assert_close(found, torch.stack(cells).sum() / 16)


@pytest.mark.parametrize("settings", [{}, {"label_smoothing": 0.1}, {"use_pos_weight": True}, {"loss": "focal"}])
def test_a_shared_list_costs_what_it_costs_written_out_for_each_document(settings):
    shared = torch.tensor([9, 1, 3, 11, -1, 0])
    multi_hot = torch.zeros(4, 12)
    multi_hot[LABEL_IDS.clamp(min=0).eq(LABEL_IDS).nonzero()[:, 0], LABEL_IDS[LABEL_IDS >= 0]] = 1
    losses, gradients = [], []
    for candidate_ids, targets in (
        (shared.expand(4, -1), {"label_ids": LABEL_IDS}),
        (shared, {"label_ids": LABEL_IDS}),
        (shared, {"labels": multi_hot}),
    ):
        model = small(**settings).train()
        if settings.get("use_pos_weight"):
            model.pos_weight.copy_(torch.linspace(1, 3, 12))
        loss = model(input_ids=IDS, candidate_ids=candidate_ids, **targets).loss
        loss.backward()
        losses.append(loss)
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for loss, gradient in zip(losses[1:], gradients[1:], strict=True):
        torch.testing.assert_close(loss, losses[0])
        for name, values in gradient.items():
            torch.testing.assert_close(values, gradients[0][name], msg=lambda m, n=name: f"{n}: {m}")


def test_sparse_gradients_of_labels_are_the_dense_ones():
    gradients = []
    for sparse in (False, True):
        for lists in (LISTS, torch.tensor([1, 3, 6])):
            model = small(sparse_gradients=sparse).train()
            model(input_ids=IDS, candidate_ids=lists, label_ids=LABEL_IDS).loss.backward()
            gradients.append((model.classifier.weight.grad, model.classifier_bias.weight.grad))
    for dense, sparse in zip(gradients[:2], gradients[2:], strict=True):
        for values, others in zip(dense, sparse, strict=True):
            assert others.is_sparse and not values.is_sparse
            torch.testing.assert_close(others.to_dense(), values)


def test_training_without_lists_takes_those_of_the_index_and_all_targets():
    model = small(with_index=True, shortlist_size=1).train()
    found = model(input_ids=IDS, label_ids=LABEL_IDS)
    near = set(model.shortlist(model.encode(input_ids=IDS))[0].flatten().tolist())
    assert found.candidate_ids.tolist() == sorted({0, 1, 3, 4, 6, 11} | near)
    assert found.logits.shape == (4, len(found.candidate_ids))
    multi_hot = targets_from_ids(LABEL_IDS, 12)
    assert torch.equal(model(input_ids=IDS, labels=multi_hot).loss, found.loss)
    assert small().train()(input_ids=IDS, label_ids=LABEL_IDS).logits.shape == (4, 12)  # no index yet


def test_a_list_of_no_label_costs_nothing():
    model = small().train()
    output = model(input_ids=IDS, candidate_ids=torch.zeros(0, dtype=torch.long), label_ids=LABEL_IDS)
    assert output.logits.shape == (4, 0) and output.loss.item() == 0
    output.loss.backward()


def test_statistics_start_the_bias_at_the_labels_log_odds_where_lists_are_shared():
    model = small()
    model.set_training_statistics(torch.tensor([5, 0, 1, 8, *[2] * 8]), 8)
    expected = [math.log(odds) for odds in (5.5 / 3.5, 0.5 / 8.5, 1.5 / 7.5, 8.5 / 0.5, *[2.5 / 6.5] * 8)]
    assert model.classifier_bias.weight.squeeze(1).tolist() == pytest.approx(expected)
    assert model.trained_labels.tolist() == [True, False, *[True] * 10]


def test_statistics_hide_labels_without_documents_and_start_the_bias_at_a_lists_odds():
    model = small(shortlist_size=4, shared_shortlist=False)
    model.set_training_statistics(torch.tensor([5, 0, 1, 2, *[1] * 8]), 8)
    assert model.trained_labels.tolist() == [True, False, *[True] * 10]
    # 16 pairs in 8 lists of 4 labels: 16.5 to 16.5
    assert model.classifier_bias.weight.unique().tolist() == pytest.approx([0.0])
    model.set_training_statistics(torch.tensor([1, *[0] * 11]), 8)
    # lists are no longer than there are labels: 1.5 to 7.5
    assert model.classifier_bias.weight.unique().tolist() == pytest.approx([math.log(0.2)])


# -- answers -----------------------------------------------------------------------------------------------------------


def test_evaluation_mixes_classifier_and_index_on_the_shortlist():
    model = small(with_index=True, beta=0.3)
    documents = model.encode(input_ids=IDS)
    cosines = F.cosine_similarity(documents[:, None], model.index_vectors[None], dim=2)
    cosines[:, 10] = -2  # no training document
    near, ids = cosines.topk(5, dim=1)
    logits = all_logits(model).gather(1, ids)
    ours, similar = logits.sigmoid(), near.sigmoid()
    top = ours.amax(1, keepdim=True)
    expected = (0.3 * ours / top + 0.7 * similar / similar.amax(1, keepdim=True)) * top
    with torch.no_grad():
        found = model(input_ids=IDS, label_ids=LABEL_IDS)
    assert torch.equal(found.candidate_ids, ids)
    torch.testing.assert_close(found.logits.sigmoid(), expected)
    # the loss is of the classifier
    torch.testing.assert_close(found.loss, model.compute_loss(logits, label_ids=LABEL_IDS, candidate_ids=ids).detach())


def test_scoring_all_labels_in_blocks_is_scoring_them_at_once(monkeypatch):
    monkeypatch.setattr(label_index, "MIN_BLOCK_SCORES", 1)
    for settings in ({"with_index": True, "scoring": "all", "beta": 0.4}, {"with_index": False}):
        model = small(**settings)
        with torch.no_grad():
            scores, ids = model(input_ids=IDS).logits.sigmoid().topk(6, dim=1)
        found_ids, found_scores = model.predict_topk({"input_ids": IDS, "label_ids": LABEL_IDS}, k=6)
        assert torch.equal(found_ids, ids)
        torch.testing.assert_close(found_scores, scores)
        ids, scores = model.predict_topk({"input_ids": IDS}, k=12)
        # label 10 was never trained and is no answer
        assert ids[:, -1].tolist() == [-1] * 4 and scores[:, -1].tolist() == [0.0] * 4
        assert 10 not in ids and (scores[:, :-1] > 0).all()


def test_answers_of_a_shortlist_are_no_longer_than_it():
    model = small(with_index=True)
    ids, scores = model.predict_topk({"input_ids": IDS, "label_ids": LABEL_IDS}, k=7)
    assert ids.shape == scores.shape == (4, 5)
    assert (scores.diff(dim=1) <= 0).all()
    model.trained_labels.fill_(False)
    model.trained_labels[[2, 3]] = True
    ids, scores = model.predict_topk({"input_ids": IDS}, k=4)
    assert [sorted(row) for row in ids.tolist()] == [[-1, -1, 2, 3]] * 4
    assert (scores[:, 2:] == 0).all()


def test_an_index_is_noticed_however_it_came_in(tmp_path):
    model = small()
    assert not model.has_index
    model.index_vectors.copy_(torch.eye(12, 8))
    assert model.has_index
    model.save_pretrained(tmp_path)
    loaded = LightDxmlForMultiLabelClassification.from_pretrained(tmp_path)
    assert loaded.has_index and torch.equal(loaded.index_vectors, model.index_vectors)
    other = small()
    assert not other.has_index
    other.load_state_dict(model.state_dict())
    assert other.has_index
    model.index_vectors.zero_()
    assert not model.has_index
    relabelled = LightDxmlForMultiLabelClassification.from_pretrained(
        tmp_path, num_labels=9, ignore_mismatched_sizes=True
    )
    assert not relabelled.has_index


@pytest.mark.parametrize("came_in", ["set", "loaded", "opened", "compressed"])
def test_a_compiled_model_knows_its_index_at_the_first_call(came_in, tmp_path):
    filled = small(with_index=True)
    if came_in == "set":
        model = filled
    elif came_in == "loaded":
        model = small()
        model.load_state_dict(filled.state_dict())
    elif came_in == "opened":
        filled.save_pretrained(tmp_path)
        model = LightDxmlForMultiLabelClassification.from_pretrained(tmp_path)
    else:
        model = filled.compress("float16")
    torch.compiler.reset()
    with torch.no_grad():
        found = torch.compile(model, backend="eager")(input_ids=IDS)
        expected = model(input_ids=IDS)
    assert found.logits.shape == (4, 5) and torch.equal(found.candidate_ids, expected.candidate_ids)
    torch.testing.assert_close(found.logits, expected.logits)


def test_a_compiled_model_notices_an_index_that_comes_later():
    model = small()
    torch.compiler.reset()
    compiled = torch.compile(model, backend="eager")
    with torch.no_grad():
        assert compiled(input_ids=IDS).candidate_ids is None
        model.set_index(torch.randn(12, 8))
        assert compiled(input_ids=IDS).candidate_ids.shape == (4, 5)


def test_an_index_holds_one_unit_vector_a_label_whatever_the_blocks():
    vectors = 3 * torch.randn(12, 8, generator=torch.Generator().manual_seed(4))
    vectors[7] = 0
    model = small()  # blocks of 5 labels
    model.set_index(vectors)
    torch.testing.assert_close(model.index_vectors, vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-12))
    for other in (vectors[:11], vectors[:, :7], vectors[0]):
        with pytest.raises(ValueError, match=r"expected \(12, 8\)"):
            model.set_index(other)


@pytest.mark.parametrize("scoring", ["all", "shortlist"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_in_half_precision_answers_nearly_the_same(dtype, scoring):
    model = small(with_index=True, scoring=scoring, beta=0.4, shortlist_size=12)
    with torch.no_grad():
        expected = model(input_ids=IDS).logits.sigmoid().sort(dim=1).values
        best = model.predict_topk({"input_ids": IDS}, k=4)
        model.to(dtype)
        assert model.index_vectors.dtype == dtype
        found = model(input_ids=IDS).logits.sigmoid().sort(dim=1).values
    torch.testing.assert_close(found.float(), expected, atol=0.02, rtol=0)
    torch.testing.assert_close(model.predict_topk({"input_ids": IDS}, k=4)[1], best[1], atol=0.02, rtol=0)


# -- explanations ------------------------------------------------------------------------------------------------------


def test_logits_of_chosen_labels_need_no_shortlist():
    model = small(with_index=True)
    chosen = torch.arange(12)
    torch.testing.assert_close(model.label_logits(chosen, input_ids=IDS), all_logits(model))


def test_token_weights_are_what_tokens_add_to_a_logit():
    model = small(residual=False)
    chosen = torch.tensor([3, 7])
    weights = model.token_weights(chosen, input_ids=IDS)
    shares = model.encoder.shares(IDS)
    table = model.get_input_embeddings().weight
    active = model.encode(input_ids=IDS) > 0
    for row in range(4):
        for column, label in enumerate(chosen.tolist()):
            added = [
                shares[row, place] * (table[token] * active[row]) @ model.classifier.weight[label]
                for place, token in enumerate(IDS[row].tolist())
            ]
            speaking = torch.stack(added).clamp(min=0)
            expected = speaking / speaking.sum().clamp(min=1e-12)
            torch.testing.assert_close(weights[row, column], expected, atol=1e-5, rtol=1e-4)
    assert (weights[IDS[:, None].expand(-1, 2, -1) == 0] == 0).all()
    assert all(parameter.grad is None for parameter in model.parameters())
    features = small(encoder="features", unk_token_id=None)
    assert not features.has_token_weights
    with pytest.raises(NotImplementedError):
        features.token_weights(chosen, input_ids=IDS)


# -- smaller tables ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "int8"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"encoder": "features", "residual": False, "label_bias": False}, {"encoder": "transformer", "proxy": "none"}],
)
def test_a_compressed_model_answers_nearly_the_same_and_comes_back_exactly(dtype, settings, tmp_path):
    model = small(with_index=True, **settings)
    batch = {"input_ids": IDS}
    if settings.get("encoder") == "features":
        batch["token_weights"] = torch.rand(IDS.shape)
    smaller = model.compress(dtype)
    with torch.no_grad():
        expected, found = model(**batch, candidate_ids=LISTS).logits, smaller(**batch, candidate_ids=LISTS).logits
        torch.testing.assert_close(found, expected, atol=0.03, rtol=0.03)
        smaller.save_pretrained(tmp_path)
        loaded = LightDxmlForMultiLabelClassification.from_pretrained(tmp_path)
        assert loaded.config.table_dtype == dtype
        assert torch.equal(loaded(**batch).logits, smaller(**batch).logits)
        assert torch.equal(loaded(**batch).candidate_ids, smaller(**batch).candidate_ids)
    assert model.config.table_dtype == "float32"
    sizes, whole = smaller.table_bytes(), model.table_bytes()
    width = model.config.embed_dim
    per_row = {"float16": 2 * width, "int8": width + 4}[dtype]
    assert sizes["index"] == 12 * per_row + 12  # and the byte of each trained label
    assert sizes["proxy"] == 0 and sizes["classifier"] < whole["classifier"]
    assert sum(whole.values()) == sum(v.numel() * v.element_size() for v in model.state_dict().values())


def test_a_compressed_model_is_not_trained_nor_compressed_again():
    smaller = small().compress("int8")
    with pytest.raises(ValueError, match="tables of labels in int8 are for prediction"):
        smaller.train()(input_ids=IDS, label_ids=LABEL_IDS)
    with pytest.raises(ValueError, match="compressed already, `table_dtype` is 'int8'"):
        smaller.compress("float16")
    with pytest.raises(ValueError, match="`dtype` must be 'float16' or 'int8', found 'int4'"):
        small().compress("int4")


def test_a_compressed_model_with_an_index_opens_without_the_package(tmp_path):
    model = small(with_index=True, index="hnsw")
    folders = {"whole": model, "half": model.compress("float16"), "bytes": model.compress("int8")}
    for name, part in folders.items():
        part.save_pretrained(tmp_path / name)
    code = """
import json, sys
class NoPackage:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "hf_mlc":
            raise ModuleNotFoundError("No module named 'hf_mlc'", name="hf_mlc")
sys.meta_path.insert(0, NoPackage())
import torch
from transformers import AutoModel
answers = {}
for name in ("whole", "half", "bytes"):
    model = AutoModel.from_pretrained(sys.argv[1] + "/" + name, trust_remote_code=True)
    ids, scores = model.predict_topk({"input_ids": torch.tensor(json.loads(sys.argv[2]))}, k=3)
    answers[name] = [type(model).__module__, ids.tolist(), scores.tolist()]
print(json.dumps(answers))
"""
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", code, str(tmp_path), json.dumps(IDS.tolist())]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name, (module, ids, scores) in json.loads(done.stdout.splitlines()[-1]).items():
        assert module.startswith("transformers_modules.")
        expected_ids, expected_scores = folders[name].predict_topk({"input_ids": IDS}, k=3)
        assert ids == expected_ids.tolist()
        torch.testing.assert_close(torch.tensor(scores), expected_scores, atol=1e-5, rtol=1e-5)
