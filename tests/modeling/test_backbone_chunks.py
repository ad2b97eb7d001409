"""Documents longer than a backbone's positions, read in overlapping chunks."""

from __future__ import annotations

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError

from hf_mlc.modeling.backbone_chunks import chunk_places, chunks_of_tokens
from tests.common.plant_tester import PlantModelTester

from .model_tester import build, some_targets


def chunked(**overrides):
    """A tiny BERT of 64 positions that reads in chunks of 6 tokens, 2 of them shared."""
    return build(
        PlantModelTester(encoder="transformer"), backbone_chunk_length=6, backbone_chunk_overlap=2, **overrides
    )


def batch_of(*lengths, padding="right", extra=0):
    tester, generator = PlantModelTester(encoder="transformer"), torch.Generator().manual_seed(0)
    documents = [tuple(torch.randint(2, 40, (length,), generator=generator).tolist()) for length in lengths]
    return tester.collate(documents, padding=padding, extra=extra)


def test_chunks_reach_the_last_token_and_each_token_comes_from_the_chunk_it_stands_deepest_in():
    # length 6, overlap 2: chunks start at 0, 4, 8; a document of 10 needs two, of 11 three
    assert chunk_places(11, 6, 2)[:, 0].tolist() == [0, 4, 8]
    found = chunks_of_tokens(torch.tensor([11, 10, 6, 0]), 11, 6, 2)
    assert found.exists_BW.tolist() == [[True] * 3, [True, True, False], [True, False, False], [True, False, False]]
    # tokens 4 and 5 are in chunks 0 and 1: 4 stands deeper in the first, 5 in the second; the same of 8 and 9
    assert (found.chosen_BT[0] // 6).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert (found.chosen_BT[0] % 6).tolist() == [0, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2]
    # the second document has no third chunk: its last token is the last of its second
    assert (found.chosen_BT[1][:10] // 6).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(("length", "overlap"), [(1, 0), (5, 0), (6, 3), (7, 2), (8, 3)])
def test_every_token_is_chosen_from_a_place_that_holds_it(length, overlap):
    for tokens in range(1, 40):
        places_WC = chunk_places(40, length, overlap)
        chosen_T = chunks_of_tokens(torch.tensor([tokens]), 40, length, overlap).chosen_BT[0, :tokens]
        assert places_WC.flatten()[chosen_T].tolist() == list(range(tokens))


def test_vectors_are_those_of_the_chunks_read_alone():
    model, batch = chunked(), batch_of(11)
    with torch.no_grad():
        found = model(**batch, output_hidden_states=True).hidden_states[-1][0]
        pieces = [
            model(input_ids=batch["input_ids"][:, start : start + 6], output_hidden_states=True).hidden_states[-1][0]
            for start in (0, 4, 8)
        ]
    expected = torch.cat([pieces[0][:5], pieces[1][1:5], pieces[2][1:]])
    torch.testing.assert_close(found, expected)


def test_a_document_alone_equals_it_in_a_batch_wherever_the_padding_stands():
    model, lengths = chunked(), (3, 17, 6, 0, 10)
    with torch.no_grad():
        whole = model(**batch_of(*lengths)).logits
        for padding in ("right", "left", "middle"):
            torch.testing.assert_close(model(**batch_of(*lengths, padding=padding, extra=5)).logits, whole)
        batch = batch_of(*lengths)
        for row, length in enumerate(lengths):
            alone = {name: values[row : row + 1, : max(1, length)] for name, values in batch.items()}
            torch.testing.assert_close(model(**alone).logits[0], whole[row])


def test_a_document_of_one_chunk_is_read_as_without_chunks():
    model, plain, batch = chunked(), build(PlantModelTester(encoder="transformer")), batch_of(6, 4)
    with torch.no_grad():
        expected = plain(**batch).logits
        torch.testing.assert_close(model(**batch).logits, expected)
        wider = batch_of(6, 4, extra=9)
        torch.testing.assert_close(model(**wider).logits, expected)


def test_more_tokens_than_positions_are_read_and_trained_in_chunks():
    model, batch = chunked().train(), batch_of(200, 70)
    model(**batch, labels=some_targets(PlantModelTester(), 2)).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_token_types_and_word_vectors_are_cut_with_the_tokens():
    model, batch = chunked(), batch_of(11, 9)
    with torch.no_grad():
        expected = model(**batch).logits
        typed = model(**batch, token_type_ids=torch.zeros_like(batch["input_ids"])).logits
        vectors = model.get_input_embeddings()(batch["input_ids"])
        given = model(inputs_embeds=vectors, attention_mask=batch["attention_mask"]).logits
        other = model(**batch, token_type_ids=batch["attention_mask"]).logits
    torch.testing.assert_close(typed, expected)
    torch.testing.assert_close(given, expected)
    assert not torch.allclose(other, expected)


def test_compiled_reading_in_chunks_equals_the_plain_one():
    torch._dynamo.reset()
    model, batch = chunked(), batch_of(11, 3)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(**batch).logits, model(**batch).logits, atol=1e-5, rtol=1e-5)


def test_reading_in_chunks_is_not_exported_with_the_number_of_chunks_of_one_sample():
    batch = batch_of(11, 3)
    with pytest.raises(Exception, match="can't be exported"):
        torch.export.export(chunked(), (), kwargs=batch)


@pytest.mark.parametrize("model_type", ["roberta", "distilbert"])
def test_chunks_longer_than_the_positions_are_refused(model_type):
    sizes = {"dim": 32, "n_layers": 1, "n_heads": 2} if model_type == "distilbert" else {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}  # fmt: skip
    settings = {"model_type": model_type, "vocab_size": 40, "max_position_embeddings": 16, "pad_token_id": 1, **sizes}
    tester = PlantModelTester(encoder="transformer")
    most = 14 if model_type == "roberta" else 16  # RoBERTa counts from the padding token on
    assert build(tester, text_config=settings, backbone_chunk_length=most).encoder.max_tokens() == most
    with pytest.raises(ValueError, match=f"at most the {most} positions of the text encoder, found {most + 1}"):
        build(tester, text_config=settings, backbone_chunk_length=most + 1)


def test_a_document_of_more_tokens_than_positions_is_refused_without_chunks():
    model = build(PlantModelTester(encoder="transformer"))
    with pytest.raises(ValueError, match=r"a document of 65 tokens.* 64 positions.*backbone_chunk_length"):
        model(**batch_of(65, 3))


@pytest.mark.parametrize("settings", [{"backbone_chunk_overlap": 1}, {"backbone_chunk_length": 4, "backbone_chunk_overlap": 3}])  # fmt: skip
def test_overlaps_that_make_no_sense_are_refused(settings):
    with pytest.raises(StrictDataclassError, match="backbone_chunk_overlap"):
        PlantModelTester(encoder="transformer").get_config(**settings)
