"""The tests that every architecture passes.

`MultiLabelModelTesterMixin` re-expresses what matters here of transformers' common model tests (which `make test-common`
runs in full) and adds what label sets need: both forms of targets, the unknown cell, padding anywhere, blocks of labels.
An architecture's test class inherits it and lists its testers:

    class TestPlant(MultiLabelModelTesterMixin):
        testers = [PlantModelTester(encoder="gru"), ...]

A tester gives `model_class`, `config_class`, `get_config(**overrides)`, `num_labels`, `documents(number)` and
`collate(documents, padding=, extra=)` (a batch of inputs without targets), `prepare(model)` (what training puts in first), `empty_document` (or `None`), `paddings`,
`equivalent_overrides`, `without_gradient`, `compiles_whole`; `tests/common/plant_tester.py` is the example. Where the
model reads text, documents are tuples of token ids from 2 to `vocab_size` - 1 (conftest.py makes texts of them).
"""

from __future__ import annotations

import json
import logging
import math

import pytest
import torch
from torch.nn import functional as F
from transformers import set_seed
from transformers.utils import logging as transformers_logging

from .fresh_process_tester import FreshProcessTesterMixin
from .pipeline_tester import PipelineTesterMixin
from .training_tester import TrainingTesterMixin


def build(tester, *, seed: int = 0, **overrides):
    """A model in evaluation mode, with random weights that depend on the seed alone."""
    set_seed(seed)
    model = tester.model_class(tester.get_config(**overrides)).eval()
    tester.prepare(model)
    return model


def some_targets(tester, rows: int) -> torch.Tensor:
    """Multi-hot float32 targets: the first document has every label, the second none, the others some."""
    targets = torch.zeros(rows, tester.num_labels)
    for row in range(rows):
        targets[row, row % tester.num_labels :: 2] = 1.0
    targets[0], targets[1] = 1.0, 0.0
    return targets


def as_padded_ids(targets: torch.Tensor) -> torch.Tensor:
    """The same targets as ids, padded with -100 to one column more than the largest set needs."""
    ids = torch.full((len(targets), int(targets.sum(dim=1).max()) + 1), -100)
    for row, cells in enumerate(targets):
        found = cells.nonzero().squeeze(1)
        ids[row, : len(found)] = found
    return ids


def check_eager_and_fused_attention(tester, *, atol: float, rtol: float) -> None:
    """Of a tester whose encoder is a backbone: both forms of its attention give these logits, one of them the weights too."""
    model, batch = build(tester), tester.collate([*tester.documents(), ()])
    with torch.no_grad():
        model.set_attn_implementation("eager")
        eager = model(**batch, output_attentions=True)
        model.set_attn_implementation("sdpa")
        assert model.encoder.backbone.config._attn_implementation == "sdpa"
        fused = model(**batch)
    torch.testing.assert_close(fused.logits, eager.logits, atol=atol, rtol=rtol)
    assert [tuple(weights.shape) for weights in eager.attentions] == [(5, 2, 9, 9)] * 2


class MultiLabelModelTesterMixin(FreshProcessTesterMixin, PipelineTesterMixin, TrainingTesterMixin):
    """See the head of this file."""

    testers = ()

    def pytest_generate_tests(self, metafunc):
        if "tester" in metafunc.fixturenames:
            metafunc.parametrize("tester", self.testers, ids=str)

    # -- configuration ----------------------------------------------------------------------------------------------

    def test_config_builds_without_arguments_in_silence(self, tester, caplog):
        transformers_logging.enable_propagation()
        with caplog.at_level(logging.WARNING):
            config = tester.config_class()
        transformers_logging.disable_propagation()
        assert caplog.text == ""
        assert config.problem_type == "multi_label_classification"

    def test_config_round_trips_through_json_unchanged(self, tester, tmp_path):
        for config in (tester.config_class(), tester.get_config(thresholds=[0.1, 0.2, 0.3, 0.4, 0.5], min_labels=1)):
            config.save_pretrained(tmp_path)
            loaded = tester.config_class.from_pretrained(tmp_path)
            assert loaded.to_dict() == config.to_dict()
            assert json.loads(loaded.to_json_string()) == json.loads(config.to_json_string())

    # -- weights ----------------------------------------------------------------------------------------------------

    def test_saved_and_loaded_model_gives_identical_logits(self, tester, tmp_path):
        model = build(tester, use_pos_weight=True)
        model.set_training_statistics(torch.tensor([1, 2, 3, 4, 5]), 10)
        batch = tester.collate(tester.documents())
        batch["labels"] = some_targets(tester, 4)
        model.save_pretrained(tmp_path)
        loaded = tester.model_class.from_pretrained(tmp_path)
        with torch.no_grad():
            expected, found = model(**batch), loaded(**batch)
        assert torch.equal(expected.logits, found.logits)
        assert torch.equal(expected.loss, found.loss)  # `pos_weight` came back too

    def test_every_parameter_and_buffer_is_initialised(self, tester):
        with torch.device("meta"):
            model = tester.model_class(tester.get_config(use_pos_weight=True))
        model.to_empty(device="cpu")
        for tensor in [*model.parameters(), *model.buffers()]:
            tensor.data.fill_(float("nan") if tensor.is_floating_point() else -7)
        model.init_weights()
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            untouched = tensor.isnan() if tensor.is_floating_point() else tensor == -7
            assert not untouched.any(), name

    def test_weights_that_a_checkpoint_lacks_are_initialised(self, tester):
        model = tester.model_class.from_pretrained(None, config=tester.get_config(use_pos_weight=True), state_dict={})
        for name, tensor in model.state_dict().items():
            assert tensor.isfinite().all(), name
        assert torch.equal(model.pos_weight, torch.ones(tester.num_labels))
        with torch.no_grad():
            assert model(**tester.collate(tester.documents())).logits.isfinite().all()

    @pytest.mark.parametrize("by", ["number", "names"])
    def test_relabelling_keeps_the_encoder_and_forgets_the_old_labels(self, tester, tmp_path, by):
        model = build(tester, thresholds=[0.1, 0.2, 0.3, 0.4, 0.5], label_space={"counts": [1, 2, 3, 4, 5]})
        model.save_pretrained(tmp_path)
        names = {"id2label": dict(enumerate("abcdefg")), "label2id": {name: i for i, name in enumerate("abcdefg")}}
        given = {"num_labels": 7} if by == "number" else names
        relabelled = tester.model_class.from_pretrained(tmp_path, **given, ignore_mismatched_sizes=True)
        old, new = model.state_dict(), relabelled.state_dict()
        assert old.keys() == new.keys()
        kept = [name for name in old if old[name].shape == new[name].shape]
        assert kept
        assert all(torch.equal(old[name], new[name]) for name in kept)
        assert relabelled(**tester.collate(tester.documents())).logits.shape == (4, 7)
        assert relabelled.config.thresholds == 0.5
        assert relabelled.config.label_space is None
        relabelled.save_pretrained(tmp_path / "again")

    # -- one document, whatever stands beside it --------------------------------------------------------------------

    def test_a_document_alone_equals_it_in_a_batch(self, tester):
        model, documents = build(tester), tester.documents()
        with torch.no_grad():
            together = model(**tester.collate(documents)).logits
            alone = torch.cat([model(**tester.collate([document])).logits for document in documents])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)

    def test_padding_changes_nothing_wherever_it_stands(self, tester):
        model, documents = build(tester), tester.documents()
        with torch.no_grad():
            expected = torch.cat([model(**tester.collate([document])).logits for document in documents])
            for padding in tester.paddings:
                found = model(**tester.collate(documents, padding=padding, extra=3)).logits
                torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5, msg=lambda m, p=padding: f"{p}: {m}")

    def test_padding_sends_no_gradient_wherever_it_stands(self, tester):
        documents, targets = tester.documents(), some_targets(tester, 4)
        gradients = []
        for padding in tester.paddings:
            model = build(tester).train()
            model(**tester.collate(documents, padding=padding, extra=3), labels=targets).loss.backward()
            gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        for found in gradients[1:]:
            for name, gradient in found.items():
                torch.testing.assert_close(
                    gradient, gradients[0][name], atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
                )

    def test_an_empty_document_gives_finite_logits_and_gradients(self, tester):
        if tester.empty_document is None:
            pytest.skip("no document of this architecture is empty")
        documents = [tester.empty_document, *tester.documents(2)]
        for batch in (tester.collate(documents), tester.collate([tester.empty_document])):
            model = build(tester).train()
            output = model(**batch, labels=torch.zeros(len(next(iter(batch.values()))), tester.num_labels))
            output.loss.backward()
            assert output.logits.isfinite().all()
            assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())

    # -- targets and loss -------------------------------------------------------------------------------------------

    def test_both_forms_of_targets_and_every_dtype_give_the_same_loss(self, tester):
        model, batch, targets = build(tester), tester.collate(tester.documents()), some_targets(tester, 4)
        with torch.no_grad():
            output = model(**batch, labels=targets)
            reference = F.binary_cross_entropy_with_logits(output.logits, targets)  # the mean over B x L cells
            torch.testing.assert_close(output.loss, reference)
            for dtype in (torch.int64, torch.int32, torch.bool, torch.float16, torch.float64):
                assert torch.equal(model(**batch, labels=targets.to(dtype)).loss, output.loss), dtype
            assert torch.equal(model(**batch, label_ids=as_padded_ids(targets)).loss, output.loss)

    def test_unknown_cells_cost_nothing(self, tester):
        model, batch, targets = build(tester), tester.collate(tester.documents()), some_targets(tester, 4)
        unknown = targets.clone()
        unknown[0, 1] = unknown[2, 3] = -100
        with torch.no_grad():
            output = model(**batch, labels=unknown)
            cells = F.binary_cross_entropy_with_logits(output.logits, targets, reduction="none")
            # two cells fewer in the sum, the same 4 x 5 cells in the divisor
            expected = (cells.sum() - cells[0, 1] - cells[2, 3]) / cells.numel()
            torch.testing.assert_close(output.loss, expected)
            assert torch.equal(model(**batch, labels=unknown.long()).loss, output.loss)

    def test_loss_equals_a_number_worked_out_by_hand(self, tester):
        model = tester.model_class(tester.get_config(num_labels=2))
        logits = torch.tensor([[0.0, math.log(3.0)], [-math.log(3.0), 0.0]])
        targets = torch.tensor([[1, 0], [0, 0]])
        # sigmoid: 1/2, 3/4 | 1/4, 1/2.  costs: -log 1/2, -log 1/4 | -log 3/4, -log 1/2
        #        = 0.693147 + 1.386294 + 0.287682 + 0.693147 = 3.060271;  / (2 documents x 2 labels) = 0.765068
        assert model.compute_loss(logits, labels=targets).item() == pytest.approx(0.765068, abs=1e-6)
        # 8 documents in the whole optimiser step, of which these are two
        assert model.compute_loss(logits, labels=targets, num_items_in_batch=8).item() == pytest.approx(
            3.060271 / 2 / 8, abs=1e-6
        )
        model.config.loss_reduction = "sum"
        assert model.compute_loss(logits, labels=targets).item() == pytest.approx(3.060271 / 2, abs=1e-6)

    def test_targets_of_another_shape_are_refused(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        with pytest.raises(ValueError, match=r"multi-hot of shape \(batch, 5\), found \(4, 3\)"):
            model(**batch, labels=torch.zeros(4, 3))

    def test_overfits_one_batch(self, tester):
        model, batch = build(tester).train(), tester.collate(tester.documents())
        batch["labels"] = some_targets(tester, 4)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        losses = []
        for _ in range(60):
            loss = model(**batch).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.1 * losses[0]

    def test_gradients_reach_every_parameter(self, tester):
        model, batch = build(tester).train(), tester.collate(tester.documents())
        model(**batch, labels=some_targets(tester, 4)).loss.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            if not name.endswith(tuple(tester.without_gradient)):
                assert parameter.grad.abs().sum() > 0, name

    # -- the same answer by other roads -----------------------------------------------------------------------------

    def test_implementations_agree_in_logits_and_gradients(self, tester):
        batch, targets = tester.collate(tester.documents(), extra=2), some_targets(tester, 4)
        results = []
        for overrides in tester.equivalent_overrides:
            model = build(tester, **overrides).train()
            output = model(**batch, labels=targets)
            output.loss.backward()
            results.append((output.logits, {name: p.grad for name, p in model.named_parameters()}))
        for logits, gradients in results[1:]:
            torch.testing.assert_close(logits, results[0][0], atol=1e-5, rtol=1e-5)
            for name, gradient in gradients.items():
                torch.testing.assert_close(gradient, results[0][1][name], atol=1e-6, rtol=1e-4)

    def test_compiled_forward_equals_the_plain_one(self, tester):
        torch._dynamo.reset()
        model, batch = build(tester), tester.collate(tester.documents())
        batch["labels"] = some_targets(tester, 4)
        compiled = torch.compile(model, backend="aot_eager", fullgraph=tester.compiles_whole)
        expected, found = model(**batch), compiled(**batch)
        torch.testing.assert_close(found.logits, expected.logits, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.loss, expected.loss, atol=1e-5, rtol=1e-5)
        parameters = list(model.parameters())
        expected_gradients = torch.autograd.grad(expected.loss, parameters)
        for plain, other in zip(expected_gradients, torch.autograd.grad(found.loss, parameters), strict=True):
            torch.testing.assert_close(other, plain, atol=1e-5, rtol=1e-4)

    def test_bfloat16_forward_is_finite(self, tester):
        batch = tester.collate(tester.documents())
        batch["labels"] = some_targets(tester, 4)
        with torch.no_grad():
            plain = build(tester)(**batch)
            output = build(tester).to(torch.bfloat16)(**batch)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                autocast = build(tester)(**batch)
        for found in (output, autocast):
            assert found.logits.isfinite().all()
            assert found.loss.dtype == torch.float32
            # bfloat16 keeps eight bits
            torch.testing.assert_close(found.logits.float(), plain.logits, atol=0.05, rtol=0.05)

    def test_tuple_output_equals_dict_output(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        batch["labels"] = some_targets(tester, 4)
        with torch.no_grad():
            output, as_tuple = model(**batch), model(**batch, return_dict=False)
        assert isinstance(as_tuple, tuple)
        assert len(as_tuple) == len(output.to_tuple())
        assert all(torch.equal(a, b) for a, b in zip(as_tuple, output.to_tuple(), strict=True))

    def test_targets_change_no_logit_and_training_mode_is_the_only_randomness(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        with torch.no_grad():
            first, second = model(**batch), model(**batch, labels=some_targets(tester, 4))
        assert first.loss is None
        assert torch.equal(first.logits, second.logits)

    # -- answers ----------------------------------------------------------------------------------------------------

    def test_predict_topk_equals_the_topk_of_the_logits(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        with torch.no_grad():
            scores, ids = model(**batch).logits.sigmoid().topk(3, dim=1)
        found_ids, found_scores = model.predict_topk({**batch, "labels": some_targets(tester, 4)}, k=3)
        assert torch.equal(found_ids, ids)
        torch.testing.assert_close(found_scores, scores)
        assert model.predict_topk(batch, k=99)[0].shape == (4, tester.num_labels)

    def test_decide_uses_the_configured_thresholds_unless_others_are_given(self, tester):
        model = build(tester, thresholds=[0.1, 0.9, 0.5, 0.5, 0.5], min_labels=1)
        scores = torch.tensor([[0.2, 0.8, 0.5, 0.4, 0.0], [0.0, 0.7, 0.2, 0.1, 0.1]])
        # first row: 0.2 >= 0.1 and 0.5 >= 0.5; second row: none, so the least short of its own: 0.0 - 0.1 at label 0
        assert model.decide(scores).int().tolist() == [[1, 0, 1, 0, 0], [1, 0, 0, 0, 0]]
        assert model.decide(scores, thresholds=0.6, min_labels=0).int().tolist() == [[0, 1, 0, 0, 0], [0, 1, 0, 0, 0]]

    def test_training_statistics_set_the_output_bias_to_the_log_odds(self, tester):
        model = build(tester, use_pos_weight=True, pos_weight_max=4)
        model.set_training_statistics(torch.tensor([0, 1, 2, 5, 10]), 10)
        # (N - n) / n, at most 4; a label never seen divides by 1
        assert model.pos_weight.tolist() == pytest.approx([4.0, 4.0, 4.0, 1.0, 0.0])
        bias = model.output_bias()
        if bias is not None:
            expected = [math.log((n + 0.5) / (10 - n + 0.5)) for n in (0, 1, 2, 5, 10)]
            assert bias.tolist() == pytest.approx(expected, rel=1e-5)
