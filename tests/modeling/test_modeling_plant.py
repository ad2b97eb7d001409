"""PLANT: the common tests for every encoder, and what is its own."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertModel, set_seed

import hf_mlc
from hf_mlc.modeling.text_encoder import load_pretrained_encoder
from tests.common.plant_tester import PlantModelTester

from .model_tester import MultiLabelModelTesterMixin, build, check_eager_and_fused_attention, some_targets


ENCODERS = ("bag_of_words", "convolution", "gru", "lstm", "awd_lstm", "transformer")


PLANTED = (
    PlantModelTester(encoder="convolution", planted={"stored_tokens": 20, "mutual_information_topk": 2, "ranked_topk": 3}),
    PlantModelTester(encoder="awd_lstm", planted={"ranked_tokens": "expected", "ranked_topk": 3}),
    PlantModelTester(encoder="bag_of_words", planted={"attention_mix": "learned", "window": 4, "stateful": True, "chunk_length": 2, "state_topk": 5}),
)  # fmt: skip


class TestPlant(MultiLabelModelTesterMixin):
    testers = (*(PlantModelTester(encoder=encoder) for encoder in ENCODERS), *PLANTED)

    def test_an_empty_document_gets_the_output_bias(self, tester):
        model = build(tester)
        model.set_training_statistics(torch.tensor([1, 2, 3, 4, 5]), 10)
        with torch.no_grad():
            logits = model(**tester.collate([(), *tester.documents(2)])).logits
        torch.testing.assert_close(logits[0], model.output_bias().detach())

    def test_without_a_mask_the_padding_token_is_the_mask(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        batch["input_ids"] = batch["input_ids"] * batch["attention_mask"]  # padding is token 0
        with torch.no_grad():
            expected, found = model(**batch).logits, model(batch["input_ids"]).logits
        torch.testing.assert_close(found, expected)

    def test_word_vectors_in_place_of_ids_give_the_same_logits(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        vectors = model.get_input_embeddings()(batch["input_ids"])
        with torch.no_grad():
            expected = model(**batch).logits
            inputs = {"inputs_embeds": vectors, "attention_mask": batch["attention_mask"]}
            if tester.planted:  # its tokens are looked up by their ids
                with pytest.raises(ValueError, match="looks tokens up by their `input_ids`"):
                    model(**inputs)
                inputs["input_ids"] = batch["input_ids"]
            found = model(**inputs).logits
        torch.testing.assert_close(found, expected)

    def test_ids_and_vectors_together_are_refused(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        with pytest.raises(ValueError, match="`input_ids`"):
            model()
        if not tester.planted:
            with pytest.raises(ValueError, match="exactly one of `input_ids` and `inputs_embeds`"):
                model(**batch, inputs_embeds=model.get_input_embeddings()(batch["input_ids"]))

    def test_hidden_states_are_the_embeddings_and_each_layer(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        with torch.no_grad():
            output = model(**batch, output_hidden_states=True)
        assert len(output.hidden_states) == tester.expected_num_hidden_layers
        assert {state.shape[:2] for state in output.hidden_states} == {(4, 9)}
        inside = 24 if tester.encoder == "awd_lstm" else tester.hidden_size  # its layers widen towards the middle
        assert [state.shape[2] for state in output.hidden_states[1:-1]] == [inside] * (len(output.hidden_states) - 2)
        assert output.hidden_states[0].shape[2] == output.hidden_states[-1].shape[2] == tester.hidden_size
        assert model(**batch).hidden_states is None

    @pytest.mark.parametrize("block_size", [1, 2, 4096])
    def test_predict_topk_in_blocks_of_labels_equals_the_whole(self, tester, block_size):
        model, batch = build(tester), tester.collate(tester.documents())
        with torch.no_grad():
            scores, ids = model(**batch).logits.sigmoid().topk(3, dim=1)
        found_ids, found_scores = model.predict_topk(batch, k=3, block_size=block_size)
        assert torch.equal(found_ids, ids)
        torch.testing.assert_close(found_scores, scores)

    def test_token_weights_sum_to_one_over_the_tokens_and_are_zero_on_padding(self, tester):
        model = build(tester)
        batch = tester.collate([*tester.documents(), ()], padding="middle")
        weights = model.token_weights(torch.tensor([4, 0]), **batch)
        assert weights.shape == (5, 2, 9)
        torch.testing.assert_close(weights[:4].sum(dim=-1), torch.ones(4, 2))
        assert (weights[(batch["attention_mask"] == 0)[:, None].expand_as(weights)] == 0).all()
        assert (weights[4] == 0).all()  # nothing to weigh

    def test_token_weights_are_those_that_the_logits_come_from(self, tester):
        model, batch = build(tester), tester.collate(tester.documents())
        with torch.no_grad():
            output = model(**batch, output_hidden_states=True)
            chosen = torch.arange(tester.num_labels)
            weights = model.token_weights(chosen, **batch)
            if tester.planted:  # several attentions together: their sum isn't 1
                read = model._read(chosen, batch["input_ids"], batch["attention_mask"], None, None)
                used = model.decoder.attention_weights(*read)
                torch.testing.assert_close(weights, used / used.sum(dim=2, keepdim=True))
                weights = used
            context = weights @ output.hidden_states[-1]
            logits = (context * model.decoder.weight).sum(dim=-1) + model.decoder.bias
            torch.testing.assert_close(
                logits, model.token_contributions(chosen, **batch).sum(dim=2) + model.decoder.bias
            )
            if model.config.stateful:  # and what was read before the window
                logits = logits + model._read_early(
                    output.hidden_states[-1],
                    batch["attention_mask"].bool(),
                    batch["input_ids"],
                    model._window(batch["attention_mask"].bool())[1],
                )
        torch.testing.assert_close(logits, output.logits, atol=1e-5, rtol=1e-5)

    @pytest.mark.filterwarnings("ignore:.gradient_checkpointing_enable. is deprecated")  # the name before 5.2x
    def test_activation_checkpointing_changes_no_gradient(self, tester):
        batch, targets = tester.collate(tester.documents()), some_targets(tester, 4)
        plain, recomputed = build(tester).train(), build(tester).train()
        if tester.encoder == "bag_of_words":
            with pytest.raises(ValueError, match="does not support"):
                recomputed.gradient_checkpointing_enable()
            return
        recomputed.gradient_checkpointing_enable()
        for model in (plain, recomputed):
            model(**batch, labels=targets).loss.backward()
        for (name, one), other in zip(plain.named_parameters(), recomputed.parameters(), strict=True):
            torch.testing.assert_close(other.grad, one.grad, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("encoder", ["bag_of_words", "convolution", "gru", "lstm"])
def test_word_dropout_works_in_training_only(encoder):
    tester = PlantModelTester(encoder=encoder)
    model, batch = build(tester, word_dropout=0.5), tester.collate(tester.documents())
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, model(**batch).logits)
        model.train()
        assert not torch.equal(model(**batch).logits, model(**batch).logits)


@pytest.mark.parametrize("encoder", ["bag_of_words", "convolution", "gru", "lstm"])
def test_word_vectors_start_with_the_configured_deviation(encoder):
    # transformers initialises modules of other packages only where they hold parameters themselves
    vectors = build(PlantModelTester(encoder=encoder), embedding_std=0.5).get_input_embeddings().weight[1:]
    assert vectors.std().item() == pytest.approx(0.5, rel=0.1)


def test_transformers_own_default_of_use_safetensors_is_taken(tmp_path):
    tester = PlantModelTester(encoder="bag_of_words")
    build(tester).save_pretrained(tmp_path)
    assert tester.model_class.from_pretrained(tmp_path, use_safetensors=None).config.num_labels == tester.num_labels
    with pytest.raises(ValueError, match="use_safetensors=False: pickled weights are never opened"):
        tester.model_class.from_pretrained(tmp_path, use_safetensors=False)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(OSError, match=r"pickled weights as in pytorch_model\.bin"):
        tester.model_class.from_pretrained(tmp_path, use_safetensors=None)


def test_the_padding_vector_starts_at_zero():
    model = build(PlantModelTester(encoder="bag_of_words"))
    assert (model.get_input_embeddings().weight[0] == 0).all()
    assert (model.get_input_embeddings().weight[1:].abs().sum(dim=1) > 0).all()


def test_recurrent_encoder_equals_torchs_packed_bidirectional_network():
    tester = PlantModelTester(encoder="gru")
    model, documents = build(tester, num_hidden_layers=1), tester.documents()
    batch = tester.collate(documents)
    layer = model.encoder.layers[0]
    reference = torch.nn.GRU(32, 16, batch_first=True, bidirectional=True)
    weights = dict(layer.ahead.named_parameters())
    weights.update({f"{name}_reverse": weight for name, weight in layer.behind.named_parameters()})
    reference.load_state_dict(weights)
    with torch.no_grad():
        found = model(**batch, output_hidden_states=True).hidden_states[-1]
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            model.get_input_embeddings()(batch["input_ids"]),
            batch["attention_mask"].sum(dim=1),
            batch_first=True,
            enforce_sorted=False,
        )
        expected, _ = torch.nn.utils.rnn.pad_packed_sequence(reference(packed)[0], batch_first=True)
    for row, document in enumerate(documents):
        torch.testing.assert_close(found[row, : len(document)], expected[row, : len(document)])


# -- backbones of transformers --------------------------------------------------------------------------------------


def tiny_bert(folder, **overrides) -> BertModel:
    set_seed(1)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 37}
    model = BertModel(BertConfig(vocab_size=40, max_position_embeddings=64, **{**sizes, **overrides})).eval()
    model.save_pretrained(folder)
    return model


def test_pretrained_backbone_gives_its_weights_to_the_encoder(tmp_path):
    bert = tiny_bert(tmp_path)
    tester = PlantModelTester(encoder="transformer")
    model = build(tester, text_config=BertConfig.from_pretrained(tmp_path))
    batch = tester.collate(tester.documents())
    with torch.no_grad():
        expected = bert(**batch).last_hidden_state
        before = model(**batch, output_hidden_states=True).hidden_states[-1]
        load_pretrained_encoder(model.encoder, str(tmp_path))
        after = model(**batch, output_hidden_states=True).hidden_states[-1]
    text = batch["attention_mask"].bool()
    assert not torch.allclose(before[text], expected[text])
    torch.testing.assert_close(after[text], expected[text])


def test_a_backbone_without_the_weights_that_are_needed_is_refused(tmp_path):
    tiny_bert(tmp_path, num_hidden_layers=1)
    model = build(PlantModelTester(encoder="transformer"))
    with pytest.raises(RuntimeError, match=r"has no weights for encoder\.layer\.1"):
        load_pretrained_encoder(model.encoder, str(tmp_path))


@pytest.mark.parametrize(
    "text_config",
    [
        {"model_type": "distilbert", "dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 37},
        {"model_type": "roberta", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
        {"model_type": "modernbert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
        {"model_type": "electra", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
    ],
    ids=lambda settings: settings["model_type"],
)
def test_other_backbones_work_and_ignore_padding_on_either_side(text_config):
    # <pad> = 1 as in RoBERTa, whose positions are counted from the ids; ModernBERT's own default lies beyond 40 tokens
    settings = {"vocab_size": 40, "intermediate_size": 37, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
    settings |= {"cls_token_id": 2, "sep_token_id": 3} if text_config["model_type"] == "modernbert" else {}
    tester = PlantModelTester(encoder="transformer")
    model = build(tester, text_config={**settings, **text_config})
    assert (model.config.hidden_size, model.config.pad_token_id, model.config.vocab_size) == (32, 1, 40)
    documents = tester.documents()
    with torch.no_grad():
        expected = torch.cat([model(**tester.collate([document])).logits for document in documents])
        for padding in ("right", "left"):
            batch = tester.collate(documents, padding=padding, extra=2)
            batch["input_ids"] = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, 1)
            for given in (batch, {"input_ids": batch["input_ids"]}):
                torch.testing.assert_close(model(**given).logits, expected, atol=1e-5, rtol=1e-5)


def test_token_types_reach_the_backbone_on_every_road():
    tester = PlantModelTester(encoder="transformer")
    model, batch = build(tester), tester.collate(tester.documents())
    typed = {**batch, "token_type_ids": batch["attention_mask"]}
    with torch.no_grad():
        logits = model(**typed).logits
        assert not torch.allclose(logits, model(**batch).logits)
        assert torch.equal(model.predict_topk(typed, k=1)[0], logits.argmax(dim=1, keepdim=True))
    chosen = torch.arange(tester.num_labels)
    assert not torch.allclose(model.token_weights(chosen, **typed), model.token_weights(chosen, **batch))


def test_eager_and_fused_attention_of_the_backbone_agree():
    check_eager_and_fused_attention(PlantModelTester(encoder="transformer"), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_inductor_compiles_the_convolution_for_training():
    torch._dynamo.reset()
    tester = PlantModelTester(encoder="convolution")
    model, batch = build(tester), tester.collate(tester.documents())
    batch["labels"] = some_targets(tester, 4)
    expected = model(**batch).loss
    found = torch.compile(model, fullgraph=True)(**batch).loss
    torch.testing.assert_close(found, expected)
    found.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("encoder", ["bag_of_words", "lstm"])
def test_a_vocabulary_without_an_unknown_token_drops_no_words_in_training(encoder):
    settings = {"encoder": encoder, "vocab_size": 30, "hidden_size": 16, "num_labels": 4, "word_dropout": 0.9}
    model = hf_mlc.PlantForMultiLabelClassification(hf_mlc.PlantConfig(**settings, unk_token_id=None)).train()
    ids = torch.randint(2, 30, (2, 5))
    assert model(input_ids=ids, labels=torch.ones(2, 4)).loss.isfinite()


class TestPlantWithAShortlist(MultiLabelModelTesterMixin):
    """What every model must do, of one whose labels attend only where the read-out puts them first."""

    testers = (PlantModelTester(encoder="convolution", planted={"planted_readout": 1.0, "shortlist_size": 4}),)
