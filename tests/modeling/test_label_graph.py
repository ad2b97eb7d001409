"""The graph of labels: near to exact, the same each time, kept beside the weights if asked."""

from __future__ import annotations

import logging

import pytest
import torch
from torch.nn import functional as F
from transformers.utils import logging as transformers_logging

from hf_mlc.modeling import label_graph
from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.label_graph import GRAPH_FILE, LabelGraph
from hf_mlc.modeling.label_index import nearest_labels
from hf_mlc.modeling.modeling_lightdxml import LightDxmlForMultiLabelClassification


needs_hnswlib = pytest.mark.skipif(label_graph.hnswlib is None, reason="hnswlib is not installed")
SETTINGS = {"num_labels": 300, "embed_dim": 8, "vocab_size": 20, "index": "hnsw", "hnsw_m": 16, "shortlist_size": 20}
TRAINED = torch.arange(300) % 10 != 0


def some_vectors(seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(300, 8, generator=torch.Generator().manual_seed(seed)), dim=1)


def small_model(**settings) -> LightDxmlForMultiLabelClassification:
    torch.manual_seed(0)
    model = LightDxmlForMultiLabelClassification(LightDxmlConfig(**{**SETTINGS, **settings})).eval()
    model.trained_labels.copy_(TRAINED)
    model.set_index(some_vectors())
    return model


@needs_hnswlib
def test_it_finds_nearly_what_comparing_with_all_finds():
    graph = LabelGraph(some_vectors(), TRAINED, LightDxmlConfig(**SETTINGS))
    queries = torch.randn(50, 8, generator=torch.Generator().manual_seed(1))
    ids, cosines = graph.nearest(queries, 20)
    exact_ids, _ = nearest_labels(queries, some_vectors(), 20, is_trained_L=TRAINED)
    found = [len(set(row) & set(exact)) for row, exact in zip(ids.tolist(), exact_ids.tolist(), strict=True)]
    assert sum(found) / (50 * 20) > 0.95
    assert TRAINED[ids].all()
    torch.testing.assert_close(
        cosines, F.cosine_similarity(queries[:, None], some_vectors()[ids], dim=2), atol=1e-5, rtol=0
    )
    assert (cosines.diff(dim=1) <= 1e-6).all()


@needs_hnswlib
def test_the_same_vectors_give_the_same_graph_and_other_vectors_another():
    queries = torch.randn(20, 8, generator=torch.Generator().manual_seed(1))
    model = small_model(hnsw_m=2, hnsw_ef_construction=5, shortlist_size=5)  # a bad one, so that it shows
    first = model.shortlist(queries)
    kept = model.label_graph()
    assert model.label_graph() is kept
    assert torch.equal(small_model(hnsw_m=2, hnsw_ef_construction=5, shortlist_size=5).shortlist(queries)[0], first[0])
    model.set_index(some_vectors(seed=2))
    assert model.label_graph() is not kept
    assert not torch.equal(model.shortlist(queries)[0], first[0])


@needs_hnswlib
def test_lists_are_padded_where_few_labels_were_trained():
    model = small_model()
    model.trained_labels.fill_(False)
    model.trained_labels[[4, 9]] = True
    ids, cosines = model.shortlist(torch.randn(3, 8), 6)
    assert ids.shape == (3, 6)
    assert all(sorted(row) == [-1, -1, -1, -1, 4, 9] for row in ids.tolist())
    assert (cosines[:, 2:] == 0).all()
    model.trained_labels.fill_(False)
    assert (model.shortlist(torch.randn(3, 8), 6)[0] == -1).all()


@needs_hnswlib
def test_it_is_kept_beside_the_weights_if_asked(tmp_path, monkeypatch):
    model = small_model(hnsw_cache=True)
    model.save_pretrained(tmp_path / "asked")
    small_model().save_pretrained(tmp_path / "plain")
    (tmp_path / "helper").mkdir()
    model.save_pretrained(tmp_path / "helper", False)  # not the main process
    assert not (tmp_path / "helper" / GRAPH_FILE).exists()
    assert (tmp_path / "asked" / GRAPH_FILE).is_file() and not (tmp_path / "plain" / GRAPH_FILE).exists()
    queries = torch.randn(20, 8)
    expected = model.shortlist(queries)
    made = []
    whole = label_graph.hnswlib.Index

    class Watched:
        """The library's index, noting what is put into one."""

        def __init__(self, **arguments):
            self.inner = whole(**arguments)

        def __getattr__(self, name):
            made.append(name)
            return getattr(self.inner, name)

    monkeypatch.setattr(label_graph.hnswlib, "Index", Watched)
    for name, is_made in (("asked", False), ("plain", True)):
        made.clear()
        loaded = LightDxmlForMultiLabelClassification.from_pretrained(tmp_path / name)
        assert torch.equal(loaded.shortlist(queries)[0], expected[0])
        assert ("add_items" in made) == is_made


@needs_hnswlib
def test_fewer_candidates_than_neighbours_are_hnswlibs_own_settings(tmp_path, caplog):
    config, file = LightDxmlConfig(**{**SETTINGS, "hnsw_ef_construction": 5}), tmp_path / GRAPH_FILE
    LabelGraph(some_vectors(), TRAINED, config).save(file)
    transformers_logging.enable_propagation()
    with caplog.at_level(logging.WARNING):
        LabelGraph(some_vectors(), TRAINED, config, file=file)
    transformers_logging.disable_propagation()
    assert "is made anew" not in caplog.text


@needs_hnswlib
@pytest.mark.parametrize("spoiled", ["cut", "other vectors", "other labels", "hnsw_m", "hnsw_ef_construction"])
def test_a_graph_of_something_else_is_made_anew(spoiled, tmp_path, caplog):
    config, file = LightDxmlConfig(**SETTINGS), tmp_path / GRAPH_FILE
    trained = ~TRAINED if spoiled == "other labels" else TRAINED
    settings = {**SETTINGS, spoiled: 30} if spoiled.startswith("hnsw") else SETTINGS
    vectors = some_vectors(1 if spoiled == "other vectors" else 0)
    LabelGraph(vectors, trained, LightDxmlConfig(**settings)).save(file)
    if spoiled == "cut":
        file.write_bytes(file.read_bytes()[:1000])
    transformers_logging.enable_propagation()
    with caplog.at_level(logging.WARNING):
        graph = LabelGraph(some_vectors(), TRAINED, config, file=file)
    transformers_logging.disable_propagation()
    assert "is made anew" in caplog.text
    queries = torch.randn(5, 8)
    assert torch.equal(
        graph.nearest(queries, 9)[0], LabelGraph(some_vectors(), TRAINED, config).nearest(queries, 9)[0]
    )


def test_without_hnswlib_it_compares_with_all_and_says_so_once(monkeypatch, caplog):
    monkeypatch.setattr(label_graph, "hnswlib", None)
    label_graph.logger.warning_once.cache_clear()
    model, queries = small_model(), torch.randn(5, 8)
    transformers_logging.enable_propagation()
    with caplog.at_level(logging.WARNING):
        found = [model.shortlist(queries), model.shortlist(queries)]
        model.set_index(some_vectors(seed=3))
        model.shortlist(queries)
    transformers_logging.disable_propagation()
    assert caplog.text.count("hnswlib is not installed") == 1
    expected = nearest_labels(queries, some_vectors(), 20, is_trained_L=TRAINED)
    assert torch.equal(found[0][0], expected[0]) and torch.equal(found[1][0], expected[0])
