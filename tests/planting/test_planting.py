"""What a planted model is planted with, from tokenised rows and through the train command."""

from __future__ import annotations

import dataclasses

import datasets
import numpy as np
import pytest
import torch

from hf_mlc.errors import UserError
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification
from hf_mlc.planting.arguments import PlantingArguments, without_effect
from hf_mlc.planting.planting import freeze_planted, plant
from tests.planting.conftest import tokenised


TEXTS = [
    f"{word} and {other} of the day" for word in ("corn", "oil", "gold") for other in ("prices", "news", "shares")
]
LABELS = [
    [{"c": "grain", "o": "crude", "g": "metal"}[text[0]], *(["market"] if "shares" in text else [])] for text in TEXTS
]


FINGERPRINT = {"rows": "sha256:0"}


@pytest.fixture(scope="module")
def rows():
    return tokenised(TEXTS, LABELS)


def planted(rows, *, fields=None, seed: int = 0, **settings):
    tokenizer, dataset, space = rows
    torch.manual_seed(0)
    config = PlantConfig(
        vocab_size=len(tokenizer), num_labels=len(space), encoder="bag_of_words", hidden_size=8, rank_size=8,
        **{"planting": "attention", "stored_tokens": 4, **(fields or {})},
    )  # fmt: skip
    model = PlantForMultiLabelClassification(config)
    args = PlantingArguments(**{"planting_smoothing": 0, "ranker_epochs": 30, **settings})
    facts = plant(model, dataset, tokenizer, args, fingerprint=FINGERPRINT, seed=seed, progress=False)
    return model, facts


def best_tokens(model, rows) -> dict[str, str]:
    """The first token of each label's list."""
    tokenizer, _, space = rows
    ids = model.decoder.mutual_information.tokens[:, 0].tolist()
    return dict(zip(space.names, tokenizer.convert_ids_to_tokens(ids), strict=True))


def test_each_label_is_given_its_own_words(rows):
    model, facts = planted(rows)
    assert best_tokens(model, rows) == {"grain": "corn", "crude": "oil", "metal": "gold", "market": "shares"}
    assert facts["documents"] == 9 and facts["labels_without_tokens"] == 0
    tokenizer, _, space = rows
    part = model.decoder.ranked
    words = tokenizer.convert_tokens_to_ids(["corn", "oil", "gold", "shares"])
    with torch.no_grad():
        scores = part.label_factors @ part.token_factors[words].T + part.token_bias[words]
    best = {name: words[row.argmax()] for name, row in zip(space.names, scores, strict=True)}
    assert tokenizer.convert_ids_to_tokens([best[name] for name in ("grain", "crude", "metal", "market")]) == [
        "corn", "oil", "gold", "shares",
    ]  # fmt: skip


def test_the_shuffled_plant_has_the_same_numbers_with_other_labels(rows):
    true, shuffled = planted(rows)[0], planted(rows, planting_control="permuted_labels", seed=1)[0]
    found = best_tokens(true, rows), best_tokens(shuffled, rows)
    assert all(found[0][label] != found[1][label] for label in found[0])
    lists = [
        sorted((*tokens.tolist(), *values.tolist()) for tokens, values in zip(part.tokens, part.values, strict=True))
        for part in (true.decoder.mutual_information, shuffled.decoder.mutual_information)
    ]
    assert lists[0] == lists[1]


def test_a_random_ranker_is_the_untrained_one_and_idf_knows_no_label(rows):
    untrained = planted(rows, planting_control="random_ranker")[0].decoder.ranked
    trained = planted(rows)[0].decoder.ranked
    torch.manual_seed(0)
    assert not torch.equal(untrained.token_factors, trained.token_factors)
    assert (untrained.token_bias == 0).all()
    fields = {"mutual_information_attention": False}
    idf = planted(rows, fields=fields, planting_control="idf")[0].decoder.ranked
    assert (idf.label_factors == 0).all()
    ids = rows[0].convert_tokens_to_ids(["of", "corn"])
    assert idf.token_bias[ids].tolist() == pytest.approx([0.0, np.log(9 / 3)])


def test_the_random_state_is_left_as_it_was(rows):
    tokenizer, dataset, _ = rows
    model, _ = planted(rows)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    plant(model, dataset, tokenizer, PlantingArguments(ranker_epochs=2), progress=False)
    assert torch.equal(torch.rand(3), expected)


def test_a_frozen_plant_gets_no_gradient(rows):
    model, _ = planted(rows)
    freeze_planted(model)
    model(torch.tensor([rows[1]["input_ids"][0]])).logits.sum().backward()
    assert all(parameter.grad is None for parameter in model.decoder.ranked.parameters())
    assert model.decoder.query.grad is not None


def test_the_ranking_stage_moves_encoder_and_queries_and_says_how_well_it_ranks(rows):
    torch.manual_seed(0)
    model, facts = planted(rows, fields={"planting": "pretrain"}, pretrain_epochs=1)
    assert facts["ranking"]
    assert model.decoder.mutual_information is None and model.decoder.ranked is None


def test_without_planting_nothing_happens(rows):
    assert planted(rows, fields={"planting": "none"})[1] is None


def test_rows_of_another_split_are_refused(rows):
    tokenizer, dataset, _ = rows
    model, _ = planted(rows)
    for split in ("validation", "test"):
        other = datasets.Dataset.from_dict(dataset.to_dict(), split=split)
        with pytest.raises(UserError, match=f"'{split}'"):
            plant(model, other, tokenizer, progress=False)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"planting_control": "shuffled"}, "'planting_control': found 'shuffled'"),
        ({"planting_kind": "pmi"}, "'planting_kind': found 'pmi'"),
        ({"planting_smoothing": -1}, "'planting_smoothing': found -1"),
        ({"ranker_epochs": 0}, "'ranker_epochs': found 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(setting, message):
    with pytest.raises(UserError, match=message):
        PlantingArguments(**setting)


def test_what_was_planted_once_is_planted_again_from_the_cache(rows, tmp_path):
    settings = {"planting_cache": str(tmp_path / "cache")}
    first, facts = planted(rows, **settings)
    file, written = next((tmp_path / "cache").iterdir()), (tmp_path / "cache").stat().st_mtime_ns
    again, facts_again = planted(rows, **settings, planting_freeze=True)
    assert facts["ranker"] == facts_again["ranker"] and (tmp_path / "cache").stat().st_mtime_ns == written
    for name, tensor in first.decoder.ranked.state_dict().items():
        assert torch.equal(again.decoder.ranked.state_dict()[name], tensor)
    assert torch.equal(first.decoder.mutual_information.values, again.decoder.mutual_information.values)
    # other statistics, another seed, another control: files of their own
    planted(rows, **settings, planting_smoothing=1)
    planted(rows, **settings, seed=3)
    planted(rows, **settings, planting_control="permuted_labels")
    assert len(list((tmp_path / "cache").iterdir())) == 4 and file.exists()


def test_texts_cut_at_another_length_are_not_planted_from_the_same_file(rows, tmp_path):
    tokenizer, dataset, space = rows
    settings = {"planting_cache": str(tmp_path)}
    planted(rows, **settings)
    short = dataset.map(lambda row: {"input_ids": row["input_ids"][:1]})
    cut, _ = planted((tokenizer, short, space), **settings)
    fresh, _ = planted((tokenizer, short, space))
    assert torch.equal(cut.decoder.mutual_information.tokens, fresh.decoder.mutual_information.tokens)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_broken_file_of_the_cache_is_one_line(rows, tmp_path):
    settings = {"planting_cache": str(tmp_path)}
    planted(rows, **settings)
    file = next(tmp_path.iterdir())
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match=r"planting_cache.*can't be read"):
        planted(rows, **settings)


@pytest.mark.parametrize("control", ["idf", "random_ranker"])
@pytest.mark.parametrize("fields", [{"planting": "pretrain"}, {"ranked_attention": False}])
def test_a_control_that_stands_in_for_nothing_is_refused(rows, control, fields):
    with pytest.raises(UserError, match=f"'planting_control': found {control}, and no ranked attention"):
        planted(rows, fields=fields, planting_control=control)


@pytest.mark.parametrize("fields", [{}, {"mutual_information_attention": False, "planted_readout": 3.0}])
def test_idf_beside_lists_of_a_labels_own_is_refused(rows, fields):
    with pytest.raises(UserError, match="'planting_control': found idf, which stands in the ranker's place alone"):
        planted(rows, fields=fields, planting_control="idf")


def test_lists_too_short_for_the_usual_scale_give_scores_of_the_usual_size(rows):
    sizes = [
        planted(rows, fields={"stored_tokens": number})[0].decoder.ranked.token_bias.abs().max().item()
        for number in (1, 2, 8)
    ]
    assert max(sizes) < 10 * min(sizes) and max(sizes) < 100


@pytest.mark.parametrize(
    ("fields", "unread"),
    [
        ({"planting": "none"}, ["planting_kind", "pretrain_epochs", "rank_size", "ranker_epochs"]),
        ({"planting": "attention"}, ["pretrain_epochs"]),
        ({"planting": "attention", "ranked_attention": False}, ["pretrain_epochs", "rank_size", "ranker_epochs"]),
        ({"planting": "pretrain"}, ["rank_size", "ranker_epochs"]),
    ],
)
def test_arguments_that_nothing_reads_are_named(fields, unread):
    given = ["hidden_size", "planting", "planting_kind", "pretrain_epochs", "rank_size", "ranker_epochs"]
    assert without_effect(given, PlantConfig(**fields)) == unread
    assert without_effect(given, None) == ["planting_kind", "pretrain_epochs", "rank_size", "ranker_epochs"]


def test_a_rate_of_their_own_has_effect_where_parameters_were_planted_before():
    assert without_effect(["planted_learning_rate_scale"], None) == ["planted_learning_rate_scale"]
    assert without_effect(["planted_learning_rate_scale"], None, has_planted_parameters=True) == []


def test_every_argument_on_planting_is_known_to_be_read_by_something():
    names = {item.name for item in dataclasses.fields(PlantingArguments)} - {"planting_cache"}
    assert set(without_effect(names, None)) == names
