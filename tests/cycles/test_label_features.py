"""What labels say of themselves: read from files, a part of centroids, and a way to labels that no training row has."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.cycles.arguments import without_cycles
from hf_mlc.cycles.centroids import FeatureVectors, label_centroids
from hf_mlc.cycles.label_features import read_label_features
from hf_mlc.cycles.rows import label_table
from hf_mlc.cycles.trainer import LightDxmlTrainer
from hf_mlc.errors import UserError
from hf_mlc.inference import load_model
from hf_mlc.labels import LabelSpace
from tests.cycles.conftest import NUM_LABELS, features_of, rows_of, trainer_of


def table(lists: list[list[int]], num_labels: int):
    return label_table(datasets.Dataset.from_dict({"label_ids": lists}), num_labels)


# -- files


NAMED = LabelSpace.from_names(["wheat", "corn", "oil"])


def written(file: Path, content: str) -> Path:
    data = content.encode()
    file.write_bytes(gzip.compress(data) if file.suffix == ".gz" else data)
    return file


@pytest.mark.parametrize("name", ["labels.txt", "labels.txt.gz"])
def test_row_i_is_of_label_number_i(tmp_path, name):
    file = written(tmp_path / name, "4 5\n4:1 0:2\n\n3:0.5\n1:1\n")
    rows, num_unknown = read_label_features(file, NAMED, kind="features")
    assert num_unknown == 1  # there is no fourth label
    assert [(row["id"], row["labels"]) for row in rows] == [("1", ["wheat"]), ("3", ["oil"])]
    assert rows["features"][:] == [{"indices": [4, 0], "values": [1, 2]}, {"indices": [3], "values": [0.5]}]


def test_where_labels_are_numbers_found_in_the_rows_they_are_names(tmp_path):
    # as of a file without a first line, whose training rows have no label 1 and 3
    space = LabelSpace.from_label_lists([[0, 4], [2], [10]])
    file = written(tmp_path / "labels.txt", "5 9\n0:1\n1:1\n2:1\n3:1\n4:1\n")
    rows, num_unknown = read_label_features(file, space, kind="features")
    assert num_unknown == 2 and space.encode([name for (name,) in rows["labels"]]).tolist() == [0, 1, 2]
    assert [row["features"]["indices"] for row in rows] == [[0], [2], [4]]


def test_texts_are_read_by_name_or_number(tmp_path):
    lines = [
        {"label": "oil", "text": "Crude oil.", "more": 1},
        {"label": "gold", "text": "Bars."},
        {"label": 0, "text": "Of wheat."},
        {"label": "corn", "text": " "},
    ]
    file = written(tmp_path / "labels.jsonl", "\n\n".join(map(json.dumps, lines)))
    rows, num_unknown = read_label_features(file, NAMED, kind="text")
    assert num_unknown == 1
    assert rows.to_list() == [
        {"id": "1", "text": "Crude oil.", "labels": ["oil"]},
        {"id": "5", "text": "Of wheat.", "labels": ["wheat"]},
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.txt", "2 5\n0:1\n9:1\n", "l.txt, row 2, field 'features': feature 9; accepted: 0 to 4"),
        ("l.txt", "2 5\n0:1\n1:1 1:2\n", "row 2, field 'features': feature 1 stands there twice"),
        ("l.txt", "2 5\n0:1\n0:x\n", "row 2, field 'features': the value 'x' of feature 0; accepted: a finite"),
        ("l.txt", "3 5 3\n0:1\n", "l.txt, row 1: the first line is '3 5 3'; accepted: two numbers"),
        ("l.txt", "3 5\n0:1\n", "l.txt: the first line says 3 rows, there are 1"),
        ("l.txt", "2 5\n\n\n", "l.txt, field 'label_features': no features of any label of the label space"),
        ("l.jsonl", '{"label": "oil", "text": "a"}\n{"label": 2, "text": "b"}', "l.jsonl, row 2, field 'label': label 2 stands in row 1 too; accepted: each label once"),
        ("l.jsonl", '{"label": "a", "text": "a"}\n{"label": "a", "text": "b"}', "row 2, field 'label': label 'a' stands in row 1 too"),
        ("l.jsonl", '{"name": "oil", "text": "a"}', "row 1, field 'label': no such column; found: 'name', 'text'"),
        ("l.jsonl", '{"label": "oil", "text": null}', "row 1, field 'text': found null; accepted: a string"),
        ("l.jsonl", '{"label": true, "text": "a"}', "row 1, field 'label': found a boolean: True; accepted: a name"),
        ("l.jsonl", '{"label": "oil", "text": "\\ud800"}', "row 1, field 'text': half a surrogate pair"),
        ("l.jsonl", "[1]", "l.jsonl, row 1"),
        ("l.csv", "label,text\n", "l.csv, field 'label_features': no features of labels for a model of"),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_line(tmp_path, name, content, message):
    file = written(tmp_path / name, content)
    with pytest.raises(UserError) as found:
        read_label_features(file, NAMED, kind="features" if name.endswith(".txt") else "text")
    assert message in str(found.value) and "\n" not in str(found.value)


def test_each_kind_has_its_own_form(tmp_path):
    file = written(tmp_path / "labels.txt", "1 5\n0:1\n")
    with pytest.raises(UserError, match=r"'label_features'.*accepted: JSON Lines"):
        read_label_features(file, NAMED, kind="text")
    with pytest.raises(
        UserError, match=r"none\.txt, field 'label_features': no such file; accepted: a text of sparse"
    ):
        read_label_features(tmp_path / "none.txt", NAMED, kind="features")


# -- centroids


def test_features_are_a_further_document_of_their_label():
    labels, vectors = table([[0], [0, 1], []], 4), np.array([[4.0, 0.0], [0.0, 2.0], [9.0, 9.0]], np.float32)
    features = FeatureVectors(table([[2], [0]], 4), np.array([[1.0, 3.0], [2.0, 4.0]], np.float16), 1.0)
    # label 0: two documents and its features; 1: a document alone; 2: features alone; 3: neither
    found = label_centroids(labels, vectors, features=features)
    assert found.tolist() == [[2.0, 2.0], [0.0, 2.0], [1.0, 3.0], [0.0, 0.0]] and found.dtype == np.float32
    half = label_centroids(labels, vectors, features=features._replace(weight=0.5))
    # (4, 0) + (0, 2) + (1, 2) over 2.5; of features alone the weight is no matter
    np.testing.assert_allclose(half, [[2.0, 1.6], [0.0, 2.0], [1.0, 3.0], [0.0, 0.0]], rtol=1e-6)


# -- training


ROWS = rows_of(40, seed=1, num_labels=NUM_LABELS - 2), rows_of(16, seed=2)  # labels 10 and 11 in no training row


@pytest.fixture(scope="module")
def featured(tmp_path_factory):
    """A training in which half of the labels have features, one of the two without training rows among them."""
    trainer = trainer_of(
        tmp_path_factory.mktemp("featured"),
        rows=ROWS,
        fields={"beta": 0.5},
        label_features=features_of([10, 0, 1, 2, 3, 4]),
        label_feature_weight=2.0,
        keep_cycle_files=True,
    )
    trainer.train()
    return trainer


def encoded(trainer, rows) -> torch.Tensor:
    batch = trainer.data_collator([dict(row) for row in rows])
    with torch.no_grad():
        return trainer.model.eval().encode(**batch)


def test_the_index_is_of_documents_and_features(featured):
    labels = torch.from_numpy(label_table(ROWS[0], NUM_LABELS).toarray())
    sums, counts = labels.T @ encoded(featured, ROWS[0]), labels.sum(dim=0)
    for label, vector in zip([10, 0, 1, 2, 3, 4], encoded(featured, featured.label_features), strict=True):
        sums[label] += 2 * vector
        counts[label] += 2
    with torch.no_grad():
        expected = F.normalize(featured.model.proxy(sums / counts.clamp(min=1)[:, None]), dim=1)
    torch.testing.assert_close(featured.model.index_vectors, expected, rtol=1e-4, atol=1e-5)
    assert featured.cycle_facts[-1]["encode"]["label_features"] == 6
    assert featured.cycle_facts[-1]["labels"]["unseen_labels"] == 1


def test_a_label_of_features_alone_may_be_found_and_is_scored_as_one_that_was_never_seen(featured):
    model = featured.model.eval()
    assert model.trained_labels.tolist() == [True] * 11 + [False]
    documents = encoded(featured, ROWS[1])
    logits = model.score(documents, torch.tensor([10]))
    assert logits.flatten().tolist() == pytest.approx([math.log(0.5 / 40.5)] * len(documents))
    # a document that says what the label says: by the index alone the label is its first answer, and with half of the
    # classifier its score is that half of nothing, and the index's half
    batch = featured.data_collator([dict(row) for row in features_of([10])])
    nearest, _ = model.shortlist(model.encode(**batch))
    assert nearest[0, 0] == 10
    with torch.no_grad():
        found = model(**batch)
    top = model.score(model.encode(**batch), nearest).sigmoid().max()
    expected = 0.5 * (0.5 / 41) + 0.5 * top  # the sigmoid of those log-odds, and the highest cosine's share
    place = found.candidate_ids[0].tolist().index(10)
    assert found.logits[0, place].sigmoid().item() == pytest.approx(expected.item(), rel=1e-4)


def test_lists_of_training_hold_no_label_that_it_could_not_learn(featured):
    files = sorted(Path(featured.args.output_dir, "cycle").glob("*/shortlists.npy"))
    lists = np.stack([np.load(file) for file in files])
    assert len(files) == 2 and lists.max() < 10 and (lists >= 0).sum(axis=2).min() >= 4
    near = featured.model.shortlist(encoded(featured, ROWS[0]))[0]
    assert (near == 10).any()  # where a list would have held it
    assert not featured.model.classifier.weight[10].any() and featured.model.classifier.weight[9].any()


def test_without_a_bias_labels_of_features_alone_stay_hidden_and_that_is_said(tmp_path, capsys):
    trainer = trainer_of(
        tmp_path, rows=ROWS, fields={"label_bias": False}, label_features=features_of([3, 10]), num_train_epochs=1
    )
    trainer.train()
    assert "labels of features alone, which can't be found without label_bias: 1" in capsys.readouterr().err
    assert trainer.model.trained_labels.tolist() == [True] * 10 + [False] * 2
    with pytest.raises(ValueError, match="label_bias"):
        trainer.model.set_unseen_labels(torch.tensor([10]), 40)


def test_a_trainer_is_given_rows_and_no_file(tmp_path):
    trainer = trainer_of(tmp_path)
    trainer.args.label_features = "labels.txt"
    with pytest.raises(UserError, match=r"'label_features': a trainer reads no files"):
        LightDxmlTrainer(trainer.model, trainer.args)


def test_weights_are_numbers_above_zero_and_without_a_file_of_no_effect(tmp_path):
    for weight in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(UserError, match=r"'label_feature_weight': found .*accepted: above 0"):
            trainer_of(tmp_path, label_feature_weight=weight)
    lightdxml = SimpleNamespace(model_type="lightdxml", encoder="features")
    both = ["label_features", "label_feature_weight"]
    assert without_cycles(both, lightdxml, is_new=False) == []
    assert without_cycles(both[1:], lightdxml, is_new=True) == ["label_feature_weight"]
    assert without_cycles(both, SimpleNamespace(model_type="plant"), is_new=True) == sorted(both)


# -- the command


def sparse_rows(folder: Path) -> Path:
    """60 training rows of labels 0 to 10 of 12, and what all labels say of themselves: label l has the features 3 l and 3 l + 1."""
    lines = ["60 40 12"]
    for row in rows_of(60, seed=3, num_labels=NUM_LABELS - 1):
        pairs = " ".join(
            f"{i - 1}:{w:.3f}" for i, w in zip(row["input_ids"], row["token_weights"], strict=True)
        )  # 0 is padding
        lines.append(f"{','.join(map(str, row['label_ids']))} {pairs}")
    (folder / "train.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    of_labels = ["12 40", *(f"{3 * label}:1 {3 * label + 1}:1" for label in range(12))]
    (folder / "lbl_X_Xf.txt").write_text("\n".join(of_labels) + "\n", encoding="utf-8")
    return folder


SMALL = ["--model_type", "lightdxml", "--embed_dim", "16", "--shortlist_size", "6", "--cycle_epochs", "2",
         "--num_train_epochs", "2", "--per_device_train_batch_size", "16", "--disable_tqdm", "true",
         "--use_cpu", "true", "--betas", "0"]  # fmt: skip


def command(rows: Path, features: Path, output: Path, *further: str) -> list[str]:
    given = {"train_file": rows, "label_features": features, "output_dir": output}
    return [*SMALL, *(str(word) for name, value in given.items() for word in (f"--{name}", value)), *further]


def results_of(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def test_train_finds_a_label_by_its_features(tmp_path, capsys):
    files, output = sparse_rows(tmp_path), tmp_path / "out"
    arguments = command(files / "train.txt", files / "lbl_X_Xf.txt", output, "--encoder", "features")
    assert run(train, [*arguments, "--refit", "true"]) == 0
    assert "label features: of 12 of 12 labels" in capsys.readouterr().err
    loaded, results = load_model(str(output), device="cpu"), results_of(output)
    assert results["data"]["label_features"]["rows"] == 12
    assert [one["labels"]["unseen_labels"] for one in results["cycles"]] == [1, 1]
    # the second model too, of `--refit`
    assert loaded.model.trained_labels.all() and loaded.label_space.counts[11] == 0
    batch = loaded.processor([{"indices": [33, 34], "values": [1.0, 1.0]}])
    assert loaded.model.predict_topk(dict(batch), k=1)[0].tolist() == [[11]]


def test_a_folder_of_a_run_with_other_label_features_is_refused(tmp_path, capsys):
    files, output = sparse_rows(tmp_path), tmp_path / "out"
    arguments = command(files / "train.txt", files / "lbl_X_Xf.txt", output, "--encoder", "features")
    assert run(train, arguments) == 0
    (output / "results.json").unlink()  # as if it had been cut short
    of_labels = (files / "lbl_X_Xf.txt").read_text(encoding="utf-8")
    (files / "lbl_X_Xf.txt").write_text(of_labels.replace(" 4:1", " 4:2"), encoding="utf-8")
    capsys.readouterr()
    assert run(train, arguments) == 2
    assert "holds checkpoints of a run with other data" in capsys.readouterr().err


@pytest.mark.parametrize("encoder", ["tfidf", "transformer"])
def test_texts_of_labels_are_read_as_documents_are(tmp_path, capsys, encoder):
    words = ("wheat", "corn", "oil", "gold", "tin", "rice")
    rows = [
        {"text": f"report on {one} and {other}", "labels": [one, other]}
        for one in words
        for other in words
        if one < other
    ] * 2
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tmp_path / "labels.json").write_text(json.dumps([*words, "soap"]), encoding="utf-8")
    lines = [
        {"label": "soap", "text": "on wheat"},
        {"label": "corn", "text": "corn"},
        {"label": "iron", "text": "tin"},
    ]
    lines.append({"label": "oil", "text": "unheard"})  # of which a bag of known words holds nothing
    file = written(tmp_path / "labels.jsonl", "\n".join(map(json.dumps, lines)))
    further = ["--label_file", str(tmp_path / "labels.json"), "--encoder", encoder]
    further += ["--embed_dim", "8", "--num_attention_heads", "2", "--intermediate_size", "8"]
    assert run(train, command(tmp_path / "train.jsonl", file, tmp_path / "out", *further)) == 0
    told = capsys.readouterr().err
    number = 2 if encoder == "tfidf" else 3
    assert f"label features: of {number} of 7 labels; in {file}, but not in the label space: 1" in told
    loaded = load_model(str(tmp_path / "out"), device="cpu")
    assert loaded.model.trained_labels.all() and loaded.label_space.names[6] == "soap"
    assert loaded.model.index_vectors[6].norm() == pytest.approx(1.0)
