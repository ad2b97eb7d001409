from __future__ import annotations

import gzip
import json
import sys

import numpy as np
import pytest

from hf_mlc.baselines import TfidfLinear, run_tfidf_baseline
from hf_mlc.errors import UserError


WORDS = (["cough", "sputum", "wheeze"], ["fracture", "cast", "wrist"], ["rash", "itch", "eczema"])


def _corpus(num_documents, seed):
    """Texts of filler with the words of the labels they carry; label 3 never occurs, label 4 always."""
    generator = np.random.default_rng(seed)
    texts, label_ids = [], []
    for _ in range(num_documents):
        ids = np.flatnonzero(generator.random(3) < 0.4).tolist()
        words = generator.choice(["patient", "seen", "today", "for", "review"], 6).tolist()
        words += [word for label in ids for word in generator.choice(WORDS[label], 2)]
        texts.append(" ".join(generator.permutation(words)))
        label_ids.append([*ids, 4])
    return texts, label_ids


@pytest.mark.parametrize("kind", ["svm", "logistic"])
def test_labels_with_words_of_their_own_are_found(kind):
    result = run_tfidf_baseline(
        *_corpus(150, 0), *_corpus(60, 1), *_corpus(60, 2), num_labels=5, kind=kind, threshold_kind="global"
    )
    assert result.metrics["f1_micro"] > 0.97 and result.metrics["f1_macro_present"] > 0.97
    assert result.metrics["f1_macro@0"] == 0.0 and result.metrics["precision_micro"] > 0.97
    assert result.seconds > 0 and result.model_bytes > 0 and result.thresholds.num_documents == 60


def test_labels_with_nothing_to_learn_get_constant_scores():
    model = TfidfLinear().fit(*_corpus(60, 0), num_labels=5)
    scores = model.scores(["cough and sputum", "words never seen before"])
    assert scores.shape == (2, 5) and scores.dtype == np.float32
    assert (scores[:, 3] == 0).all() and (scores[:, 4] == 1).all()
    assert ((scores >= 0) & (scores <= 1)).all() and scores[0, 0] > 0.5 > scores[0, 1]


def test_test_labels_change_nothing_but_the_test_metrics():
    test_texts, test_label_ids = _corpus(40, 2)
    runs = [
        run_tfidf_baseline(*_corpus(80, 0), *_corpus(40, 1), test_texts, labels, num_labels=5)
        for labels in (test_label_ids, test_label_ids[::-1])
    ]
    assert runs[0].thresholds == runs[1].thresholds and runs[0].model_bytes == runs[1].model_bytes
    assert runs[0].metrics["f1_micro"] != runs[1].metrics["f1_micro"]


def test_cross_validated_thresholds_use_all_but_the_test_documents():
    result = run_tfidf_baseline(*_corpus(80, 0), *_corpus(40, 1), *_corpus(40, 2), num_labels=5, threshold_folds=3)
    assert result.thresholds.num_documents == 120 and result.metrics["f1_micro"] > 0.95
    with pytest.raises(UserError, match="threshold_folds 1"):
        run_tfidf_baseline(*_corpus(8, 0), *_corpus(4, 1), *_corpus(4, 2), num_labels=5, threshold_folds=1)


def test_the_same_seed_gives_the_same_model():
    first, second = (TfidfLinear(seed=3).fit(*_corpus(60, 0), num_labels=5) for _ in range(2))
    np.testing.assert_array_equal(first.scores(["cough wrist"]), second.scores(["cough wrist"]))


def test_wrong_input_is_refused_in_one_line():
    with pytest.raises(UserError, match="svm, logistic"):
        TfidfLinear("forest")
    with pytest.raises(UserError, match="no features"):
        TfidfLinear().fit(["", ""], [[0], [1]], num_labels=2)
    with pytest.raises(UserError, match="row 2: label id 7"):
        TfidfLinear().fit(["a text", "a text"], [[0], [7]], num_labels=2)


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(UserError, match=r"pip install hf_mlc\[compare\]"):
        TfidfLinear()


@pytest.mark.slow
@pytest.mark.real_data
def test_reuters_is_where_a_linear_svm_is_known_to_be(real_data):
    folder = real_data("reuters21578")
    splits = {}
    for split in ("train", "test"):
        with gzip.open(folder / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
            splits[split] = [json.loads(line) for line in lines]
    names = sorted({name for row in splits["train"] for name in row["labels"]})
    ids = {name: index for index, name in enumerate(names)}
    order = np.random.default_rng(0).permutation(len(splits["train"]))
    validation = [splits["train"][i] for i in order[:777]]
    train = [splits["train"][i] for i in order[777:]]
    columns = []
    for rows in (train, validation, splits["test"]):
        columns += [[row["text"] for row in rows], [[ids[name] for name in row["labels"]] for row in rows]]
    metrics = run_tfidf_baseline(*columns, num_labels=90, C=4.0, threshold_metric="f1_macro").metrics
    # Joachims (1998) and many after him: micro-F1 0.86 to 0.89 on the 90 topics of the ModApte split
    assert metrics["f1_micro"] > 0.875 and metrics["f1_macro"] > 0.55 and metrics["subset_accuracy"] > 0.82
