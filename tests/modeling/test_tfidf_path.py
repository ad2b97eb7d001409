"""The tf-idf path: its numbers by hand, what it reads, what it drops, and its place in SGM."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.modeling_sgm import SgmForMultiLabelClassification
from hf_mlc.modeling.tfidf_path import TfidfPath, tfidf_vectors, token_counts


V, F = 12, 3


def path(dropout: float = 0.0) -> TfidfPath:
    torch.manual_seed(0)
    made = TfidfPath(SimpleNamespace(vocab_size=V, tfidf_size=F, tfidf_dropout=dropout))
    torch.nn.init.normal_(made.projection)
    made.idf.copy_(torch.linspace(1.0, 3.0, V))
    return made


def test_vectors_equal_numbers_worked_out_by_hand():
    # token 1 twice, token 3 once;  idf 2 and 1.5:  (1 + log 2) 2 = 3.386294 and 1.5, length 3.703647
    found = tfidf_vectors(torch.tensor([[0, 2, 0, 1], [0, 0, 0, 0]]), torch.tensor([5.0, 2.0, 1.0, 1.5]))
    length = math.hypot(2 * (1 + math.log(2)), 1.5)
    expected = [[0.0, 2 * (1 + math.log(2)) / length, 0.0, 1.5 / length], [0.0] * 4]
    torch.testing.assert_close(found, torch.tensor(expected))
    torch.testing.assert_close(found[0, 1], torch.tensor(0.914314), atol=1e-6, rtol=0)


@torch.no_grad()
def test_it_projects_the_tf_idf_vector_and_reads_no_padding():
    made = path().eval()
    ids = torch.tensor([[2, 5, 2, 9], [7, 7, 7, 7]])
    mask = torch.tensor([[True, True, True, False], [False] * 4])
    counts = torch.zeros(2, V)
    counts[0, 2], counts[0, 5] = 2, 1
    assert torch.equal(token_counts(ids, mask, V), counts)
    torch.testing.assert_close(made(ids, mask), tfidf_vectors(counts, made.idf) @ made.projection)
    assert not made(ids, mask)[1].any()
    other = torch.tensor([[5, 11, 2, 2]])  # another order, padding elsewhere
    torch.testing.assert_close(made(other, torch.tensor([[True, False, True, True]])), made(ids, mask)[:1])


def test_training_drops_whole_words_and_evaluation_none():
    made, ids = path(0.5), torch.arange(V)[None].repeat(2000, 2)
    mask = torch.ones_like(ids, dtype=torch.bool)
    made.dropout.p = 0.0  # what is left is the dropout of words
    with torch.no_grad():
        made.projection.zero_()
        made.projection[4, 0] = 1.0
    weight = float(tfidf_vectors(token_counts(ids[:1], mask[:1], V), made.idf)[0, 4])
    torch.manual_seed(0)
    values = made.train()(ids, mask)[:, 0]
    # a word that stands in two places goes with both, or stays with both, doubled
    assert torch.allclose(values.unique(), torch.tensor([0.0, 2 * weight]), atol=1e-6)
    assert (values > 0).float().mean() == pytest.approx(0.5, abs=0.05)
    assert torch.allclose(made.eval()(ids, mask)[:, 0], torch.tensor(weight))


SMALL = {"vocab_size": 40, "hidden_size": 8, "num_labels": 5, "num_beams": 3, "tfidf_path": True, "tfidf_size": 4}


def sgm(**fields) -> SgmForMultiLabelClassification:
    torch.manual_seed(0)
    return SgmForMultiLabelClassification(SgmConfig(**{**SMALL, **fields})).eval()


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.arange(9)[None] < torch.tensor([[9], [5], [7], [1]])
    ids = torch.randint(2, 40, (4, 9), generator=generator).masked_fill(~mask, 3)
    return {"input_ids": ids, "attention_mask": mask.long()}


@torch.no_grad()
def test_sgm_reads_it_in_its_first_state_and_in_every_step():
    model, inputs = sgm(), batch()
    before = model(**inputs).logits
    memory = model.encode(**inputs)
    assert memory.tfidf_BF.shape == (4, 4)
    torch.testing.assert_close(
        memory.tfidf_BF, model.encoder.tfidf(inputs["input_ids"], inputs["attention_mask"].bool())
    )
    model.encoder.tfidf.idf[2:20] = 9.0
    assert (model(**inputs).logits - before).abs().max() > 1e-6
    plain = sgm(tfidf_path=False)
    assert plain.encoder.tfidf is None and plain.planted_parameters == () and not plain.reads_token_ids
    assert model.planted_parameters == ("encoder.tfidf.",) and model.reads_token_ids


@torch.no_grad()
def test_sgm_with_it_gives_a_document_alone_the_same_answer_and_beams_their_own():
    model, inputs = sgm(), batch()
    together = model(**inputs).logits
    for row in range(4):
        length = int(inputs["attention_mask"][row].sum())
        alone = {name: value[row : row + 1, :length] for name, value in inputs.items()}
        torch.testing.assert_close(model(**alone).logits, together[row : row + 1], atol=1e-5, rtol=1e-4)
    found = model.find_sequences(inputs)
    generated = model.generate(**inputs, return_dict_in_generate=True, output_scores=True, num_return_sequences=3)
    scores = generated.sequences_scores.view(4, 3)
    torch.testing.assert_close(scores[:, 0], found.scores_BK[:, 0], atol=1e-4, rtol=1e-4)


def test_gradients_reach_it_and_word_vectors_need_the_ids_beside_them():
    model, inputs = sgm(), batch()
    model.train()(**inputs, labels=torch.ones(4, 5)).loss.backward()
    assert model.encoder.tfidf.projection.grad.abs().sum() > 0
    vectors = model.eval().get_input_embeddings()(inputs["input_ids"])
    with torch.no_grad():
        with pytest.raises(ValueError, match="tf-idf weights are looked up by its `input_ids`"):
            model(inputs_embeds=vectors, attention_mask=inputs["attention_mask"])
        found = model(**inputs, inputs_embeds=vectors).logits
        torch.testing.assert_close(found, model(**inputs).logits)


@torch.no_grad()
def test_it_is_saved_with_the_model_and_a_random_one_is_no_empty_memory(tmp_path):
    model, inputs = sgm(), batch()
    model.encoder.tfidf.idf.uniform_(1, 3)
    model.save_pretrained(tmp_path)
    assert torch.equal(
        SgmForMultiLabelClassification.from_pretrained(tmp_path)(**inputs).logits, model(**inputs).logits
    )
    fresh = SgmForMultiLabelClassification.from_pretrained(None, config=SgmConfig(**SMALL), state_dict={})
    assert torch.equal(fresh.encoder.tfidf.idf, torch.ones(40))
    assert fresh.encoder.tfidf.projection.std() == pytest.approx(1.0, abs=0.15)
