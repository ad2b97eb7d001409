"""Filling a tf-idf path: the same vectors as the model computes, the directions of the documents, training rows alone."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.data.demo_notes import write_demo_corpus
from hf_mlc.inference import load_model
from hf_mlc.modeling.tfidf_path import TfidfPath, tfidf_vectors, token_counts
from hf_mlc.word_vectors.lsa import fill_tfidf_path, path_of, tfidf_table


V = 30
QUIET = ["--disable_tqdm", "true", "--report_to", "none", "--use_cpu", "true"]


def documents(number: int = 60) -> list[list[int]]:
    generator = np.random.default_rng(0)
    return [generator.integers(2, V, generator.integers(1, 12)).tolist() for _ in range(number)]


def path(width: int) -> TfidfPath:
    made = TfidfPath(SimpleNamespace(vocab_size=V, tfidf_size=width, tfidf_dropout=0.0)).eval()
    torch.nn.init.normal_(made.projection)
    return made


def padded(texts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.zeros(len(texts), max(map(len, texts)), dtype=torch.long)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for row, text in enumerate(texts):
        ids[row, : len(text)], mask[row, : len(text)] = torch.tensor(text), True
    return ids, mask


def test_the_counted_table_is_what_the_model_computes():
    texts = documents()
    table, idf = tfidf_table(texts, V)
    ids, mask = padded(texts)
    expected = tfidf_vectors(token_counts(ids, mask, V), torch.from_numpy(idf))
    np.testing.assert_allclose(table.toarray(), expected.numpy(), atol=1e-6)
    # of 60 documents n have token 5
    holding = sum(5 in text for text in texts)
    assert idf[5] == pytest.approx(1 + np.log(61 / (1 + holding))) and idf[0] == pytest.approx(1 + np.log(61))


@torch.no_grad()
def test_the_path_gives_the_directions_in_which_documents_differ_most():
    texts, made = documents(), path(4)
    facts = fill_tfidf_path(made, texts)
    ids, mask = padded(texts)
    found = made(ids, mask).double()
    assert found.square().mean().item() == pytest.approx(1.0, abs=1e-4)
    table = tfidf_table(texts, V)[0].toarray()
    best = np.linalg.svd(table, full_matrices=False)
    assert facts == {
        "documents": 60,
        "width": 4,
        "explained": pytest.approx((best[1][:4] ** 2).sum() / (table**2).sum(), abs=1e-3),
    }
    # likeness of documents along the path is that of the best four directions, up to one factor
    along = (best[0][:, :4] * best[1][:4]) @ (best[0][:, :4] * best[1][:4]).T
    alike = (found @ found.T).numpy()
    np.testing.assert_allclose(alike / np.trace(alike), along / np.trace(along), atol=2e-3)


@torch.no_grad()
def test_few_or_empty_documents_fill_what_there_is():
    made = path(8)
    facts = fill_tfidf_path(made, [[3, 4], [5]])
    assert facts["explained"] == pytest.approx(1.0) and not made.projection[:, 2:].any()
    made = path(8)
    assert fill_tfidf_path(made, [[], []])["explained"] == 0.0 and not made.projection.any()
    assert fill_tfidf_path(made, [])["documents"] == 0 and made.idf.isfinite().all()


def test_training_fills_it_from_training_rows_alone(tmp_path):
    for name, seed in (("one", 0), ("other", 1)):
        folder = tmp_path / name
        write_demo_corpus(folder, num_train=60, num_validation=20, num_test=20)
        (folder / "label_descriptions.json").unlink()
        if seed:  # other texts to validate and test on
            for split in ("validation", "test"):
                rows = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text("utf-8").splitlines()]
                lines = [json.dumps({**row, "text": "pain pain " + row["text"][:20]}) + "\n" for row in rows]
                (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
        arguments = ["--dataset_name", str(folder), "--output_dir", str(tmp_path / f"{name}-out"), *QUIET]
        arguments += ["--model_type", "sgm", "--hidden_size", "16", "--tfidf_path", "true", "--tfidf_size", "5"]
        arguments += [
            "--max_steps",
            "2",
            "--planted_learning_rate_scale",
            "0",
            "--max_length",
            "48",
            "--num_beams",
            "2",
        ]
        assert run(train, arguments) == 0
    one, other = (path_of(load_model(str(tmp_path / f"{name}-out")).model) for name in ("one", "other"))
    assert torch.equal(one.idf, other.idf) and torch.equal(one.projection, other.projection)
    facts = json.loads((tmp_path / "one-out" / "results.json").read_text(encoding="utf-8"))["tfidf_path"]
    assert facts["documents"] == 60 and facts["width"] == 5 and 0.1 < facts["explained"] < 1
    assert one.idf.max() > one.idf.min() >= 1
