"""Methods over the columns of a table: each fits, answers, and is the library's own where nothing is tuned."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import datasets
import numpy as np
import pytest

from hf_mlc.comparing.arms import Job, fit
from hf_mlc.comparing.arms.problem_transformations import PLANE
from hf_mlc.comparing.arms.table_columns import TableColumns
from hf_mlc.comparing.arms.table_methods import METHODS, _chosen_rule
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace
from hf_mlc.tabular.fitting import fit_table
from hf_mlc.tabular.powerset_forest import PowersetForest


pytest.importorskip("sklearn")

MULAN = Path("/work/shared/data/mulan")
SMALL = {
    "logistic-chain-ensemble": {"chains": 2},
    "lightgbm-br": {"n_estimators": 5, "min_child_samples": 2},
    "forest-powerset": {"n_estimators": 5},
}


class FakeRows:
    """What a method asks of `Rows`: rows in memory, and no measured ones."""

    def __init__(self, parts: dict[str, dict], names: list[str] | None = None):
        self.parts, self.names, self.meta_file = parts, names, None
        self.validation, self.measured = "validation.jsonl", "test.jsonl"

    def read(self, split: str) -> datasets.Dataset:
        part = self.parts[split]
        return datasets.Dataset.from_dict({**part, "id": [f"{split}-{place}" for place in range(len(part["labels"]))]})

    def label_space(self) -> LabelSpace:
        lists = self.parts["train"]["labels"]
        return LabelSpace.from_label_lists(lists, names=self.names)


def table(number: int, seed: int, labels: str = "abcd") -> dict:
    """Rows of three numbers: `a` and `b` are signs of the first two, `c` is in every row of `b`, nothing has `d`."""
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(number, 3))
    lists = [
        [name for name, there in zip("abc", (x > 0.3, y > 0, y > 0), strict=True) if there and name in labels]
        for x, y, _ in features
    ]
    return {"features": features.tolist(), "labels": lists}


def sparse(part: dict) -> dict:
    rows = [
        {"indices": [at for at, value in enumerate(row) if value > 1], "values": [value for value in row if value > 1]}
        for row in part["features"]
    ]
    return {**part, "features": rows}


@pytest.fixture
def rows() -> FakeRows:
    return FakeRows({"train": table(80, 0), "validation": table(40, 1)}, list("abcd"))


def fitted_scores(name: str, rows: FakeRows, asked: list, **settings) -> tuple[np.ndarray, object]:
    if name == "lightgbm-br":
        pytest.importorskip("lightgbm", reason="LightGBM is not installed (the extra `compare`)")
    settings = {
        "method": name,
        "refit": True,
        "threshold_metric": "subset_accuracy",
        **SMALL.get(name, {}),
        **settings,
    }
    fitted = fit(Job("table-method", settings, rows, 0, ""), Path("/nowhere"))
    found = list(fitted.score(asked))
    assert [place for places, *_ in found for place in places] == list(range(len(asked)))
    return np.concatenate([scores_NL for _, scores_NL, _ in found]), fitted


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("refit", [False, True])
def test_a_method_learns_what_two_columns_say(name, refit, rows):
    asked = table(200, 2)
    scores_NL, fitted = fitted_scores(name, rows, asked["features"], refit=refit)
    assert scores_NL.dtype == np.float32 and scores_NL.min() >= 0 and scores_NL.max() <= 1
    truth_NL = np.array([[label in labels for label in "abcd"] for labels in asked["labels"]])
    thresholds = np.asarray(fitted.thresholds, np.float32)
    answers_NL = (scores_NL >= thresholds) & (scores_NL > 0)
    assert (answers_NL == truth_NL)[:, :3].mean() > 0.8
    assert (scores_NL[:, 3] == 0).all()  # no row has it; not one half, which thresholds would take or leave by chance
    assert fitted.parameters > 0 and fitted.versions["scikit-learn"]
    assert (fitted.facts["rows"], fitted.facts["refit"]) == ((120, True) if refit else (80, False))
    assert fitted.facts["chosen_on"] == 40 and fitted.facts["validation_subset_accuracy"] > 0.5


def test_the_decision_rule_is_chosen_on_validation_rows_that_the_method_has_not_seen(rows):
    """Their labels are random: what the training rows say of them is no better than chance."""
    draw = np.random.default_rng(5)
    random = {**rows.parts["validation"], "labels": [["a"] if draw.random() < 0.5 else [] for _ in range(40)]}
    _, fitted = fitted_scores(
        "logistic-br", FakeRows({**rows.parts, "validation": random}, list("abcd")), [[0.0, 0, 0]]
    )
    assert fitted.facts["validation_subset_accuracy"] < 0.7
    half = {"threshold_kind": "none", "threshold_metric": "f1_micro"}
    _, fitted = fitted_scores("logistic-br", rows, [[0.0, 0, 0]], **half)
    assert fitted.thresholds == PLANE and fitted.facts["rule"] == "half" and "validation_f1_micro" in fitted.facts


@pytest.mark.parametrize("kind", ["auto", "global"])
def test_a_threshold_is_taken_where_rows_speak_for_it_and_not_by_luck(kind):
    space, draw = LabelSpace(["a", "b", "c", "d", "e", "f"]), np.random.default_rng(0)

    def rule(num_rows: int, power: float) -> dict:
        """Of scores that are each label's probability to the given power."""
        true_NL = draw.random((num_rows, 6))
        ids = [np.flatnonzero(row) for row in draw.random((num_rows, 6)) < true_NL]
        how = {"threshold_kind": kind, "threshold_metric": "subset_accuracy"}
        return _chosen_rule(true_NL**power, ids, space, 0, has_scale=True, **how)

    assert {rule(49, 1.0)["facts"]["rule"] for _ in range(10)} == {
        "half"
    }  # tuned on its own rows, nine times in ten not
    assert rule(500, 5.0)["facts"]["rule"] != "half"  # one half of these stands at .87


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_gives_the_same_scores(name, rows):
    asked = table(20, 3)["features"]
    first, _ = fitted_scores(name, rows, asked)
    again, _ = fitted_scores(name, rows, asked)
    assert np.array_equal(first, again)


@pytest.mark.parametrize("name", METHODS)
def test_sparse_rows_stay_sparse_and_mean_the_same(name, rows, monkeypatch):
    thin = FakeRows({part: sparse(content) for part, content in rows.parts.items()}, list("abcd"))
    asked = sparse(table(30, 4))["features"]
    seen = []
    matrix = TableColumns.matrix
    monkeypatch.setattr(TableColumns, "matrix", lambda *args, **where: seen.append(matrix(*args, **where)) or seen[-1])
    as_sparse, _ = fitted_scores(name, thin, asked)
    assert seen and all(hasattr(one, "tocsr") for one in seen)
    monkeypatch.setattr(TableColumns, "matrix", lambda *args, **where: matrix(*args, **where).toarray())
    as_dense, _ = fitted_scores(name, thin, asked)
    assert np.allclose(as_sparse, as_dense, atol=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_one_label_is_enough(name):
    rows = FakeRows({"train": table(60, 0, "a"), "validation": table(20, 1, "a")}, ["a"])
    asked = table(100, 2, "a")
    scores_NL, _ = fitted_scores(name, rows, asked["features"])
    truth_N = np.array([bool(labels) for labels in asked["labels"]])
    assert scores_NL.shape == (100, 1) and ((scores_NL[:, 0] >= PLANE) == truth_N).mean() > 0.8


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("labels, expected", [("", 0.0), ("a", 1.0)])
def test_a_label_of_no_row_or_of_all_is_never_or_always_answered(name, labels, expected):
    parts = {
        part: {"features": table(20, seed)["features"], "labels": [list(labels)] * 20}
        for seed, part in enumerate(("train", "validation"))
    }
    scores_NL, _ = fitted_scores(name, FakeRows(parts, ["a"]), table(5, 2)["features"])
    assert (scores_NL == expected).all()


def test_logistic_regression_is_scikit_learn_s_one_versus_rest(rows):
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    asked = table(50, 5)["features"]
    scores_NL, _ = fitted_scores("logistic-br", rows, asked)
    both = [*rows.parts["train"]["features"], *rows.parts["validation"]["features"]]
    lists = [*rows.parts["train"]["labels"], *rows.parts["validation"]["labels"]]
    truth_NL = np.array([[label in labels for label in "abc"] for labels in lists]).astype(int)
    columns = TableColumns(both)
    ours = OneVsRestClassifier(LogisticRegression(solver="liblinear", random_state=0))
    ours.fit(columns.matrix(both), truth_NL)
    assert np.allclose(scores_NL[:, :3], ours.predict_proba(columns.matrix(asked)), atol=1e-6)


def test_a_chain_reads_the_labels_before_it(rows):
    """Of `c` the table says as much as of `b`; with only a column that says nothing left, the chain still knows it from `b`."""
    part = {
        name: {
            **content,
            "features": [
                [row[2], float("b" in labels)]
                for row, labels in zip(content["features"], content["labels"], strict=True)
            ],
        }
        for name, content in rows.parts.items()
    }
    _, alone = fitted_scores("logistic-br", FakeRows(part, list("abcd")), [[0.0, 1.0]])
    _, chain = fitted_scores("logistic-chain", FakeRows(part, list("abcd")), [[0.0, 1.0]])
    assert chain.parameters == alone.parameters + (0 + 1 + 2)  # a weight for each label before


@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_the_forest_is_scikit_learn_s_tree_for_tree(layout):
    from scipy.sparse import csr_matrix
    from sklearn.ensemble import RandomForestClassifier

    draw = np.random.default_rng(0)
    features_NP = draw.normal(size=(90, 6)).astype(np.float32) * (draw.random((90, 6)) < 0.4)
    truth_NL = (features_NP[:, :4] + 0.3 * draw.normal(size=(90, 4)) > 0.2).astype(np.int8)
    given = csr_matrix(features_NP) if layout == "sparse" else features_NP
    ours = PowersetForest(n_estimators=9, min_samples_leaf=2, seed=3).fit(given, truth_NL)
    sets_SL, set_of_N = np.unique(truth_NL, axis=0, return_inverse=True)
    theirs = RandomForestClassifier(n_estimators=9, min_samples_leaf=2, random_state=3).fit(given, set_of_N.ravel())
    asked_NP = draw.normal(size=(40, 6)).astype(np.float32)
    asked = csr_matrix(asked_NP) if layout == "sparse" else asked_NP
    assert np.array_equal(ours.sets_SL, sets_SL)
    assert np.allclose(ours.shares(asked), theirs.predict_proba(asked), atol=1e-12)
    nodes = sum(tree.tree_.node_count for tree in theirs.estimators_)
    assert sum(len(tree.left) for tree in ours.trees) == nodes
    assert ours.num_parameters < nodes * len(sets_SL)


def test_settings_that_a_method_has_not_are_refused(rows):
    with pytest.raises(UserError, match=r"field 'method'.*logistic-br"):
        fitted_scores("nothing", rows, [])
    with pytest.raises(UserError, match=r"field 'depth'.*accepted: C, class_weight"):
        fitted_scores("logistic-br", rows, [], depth=3)
    with pytest.raises(UserError, match="field 'max_depth'"):
        fitted_scores("forest-powerset", rows, [], max_depth=3)
    with pytest.raises(UserError, match="field 'order'"):
        fitted_scores("logistic-chain", rows, [], order="rarest")


def test_a_gap_where_training_had_none_is_one_line_that_names_the_row(rows):
    gap = [None, 0.0, 0.0]
    broken = {**rows.parts["validation"], "features": [*rows.parts["validation"]["features"][:-1], gap]}
    with pytest.raises(UserError, match=r"^validation\.jsonl, row validation-39, .* the value is missing") as raised:
        fitted_scores("logistic-br", FakeRows({**rows.parts, "validation": broken}, list("abcd")), [])
    assert "\n" not in str(raised.value)
    asked = [*table(600, 2)["features"], gap]  # more than are answered at a time
    with pytest.raises(UserError, match=r"^test\.jsonl, row 601, field 'feature_0': the value is missing"):
        fitted_scores("logistic-br", rows, asked)
    scores_NL, _ = fitted_scores("logistic-br", rows, asked, missing_values="mean")
    assert len(scores_NL) == 601


def test_what_train_is_told_of_features_makes_the_same_columns(tmp_path):
    rows = [{"zip": code, "age": age} for code, age in (("0123", 30), ("123", None), ("123", 50))]
    told = {"category_columns": ["zip"], "missing_values": "mean"}
    expected = fit_table(rows, **told)
    found = TableColumns(rows, **told).extractor
    assert found.to_dict() == expected.to_dict() and found.column_names == ["age", "zip = 0123", "zip = 123"]
    sparse = TableColumns([{"age": 1}, {"size": 2}], absent_features="zero").extractor
    assert sparse.to_dict() == fit_table([{"age": 1}, {"size": 2}], absent="zero").to_dict()
    with pytest.raises(UserError, match="--max_categories"):
        TableColumns(rows, category_columns=["zip"], max_categories=1)
    with pytest.raises(UserError, match="field 'missing_values': found 'none'; accepted: indicator, mean, error"):
        TableColumns(rows, missing_values="none")
    file = tmp_path / "features.json"
    declared = {"feature_names": ["age", "zip"], "feature_types": ["num", "category"]}
    file.write_text(json.dumps(declared), encoding="utf-8")
    assert TableColumns(rows, feature_file=str(file)).extractor.categories == {"zip": ["0123", "123"]}


def test_without_lightgbm_one_line_says_so(rows, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(UserError, match=r"LightGBM is not installed.*hf_mlc\[compare\]") as raised:
        fit(Job("table-method", {"method": "lightgbm-br"}, rows, 0, ""), Path("/nowhere"))
    assert "\n" not in str(raised.value)


def read_mulan(name: str, split: str) -> dict:
    with gzip.open(MULAN / name / f"{split}.jsonl.gz", "rt", encoding="utf-8") as stream:
        lines = [json.loads(line) for line in stream]
    return {key: [line[key] for line in lines] for key in ("features", "labels")}


@pytest.mark.skipif(not (MULAN / "emotions").is_dir(), reason="Mulan's emotions are not on this machine")
def test_logistic_regression_on_emotions_is_where_the_paper_note_has_it():
    train, test = read_mulan("emotions", "train"), read_mulan("emotions", "test")
    names = json.loads((MULAN / "emotions" / "meta.json").read_text(encoding="utf-8"))["labels"]
    parts = {
        "train": {key: values[:340] for key, values in train.items()},
        "validation": {key: values[340:] for key, values in train.items()},
    }
    scores_NL, fitted = fitted_scores("logistic-br", FakeRows(parts, names), test["features"], C=0.1)
    truth_NL = np.array([[name in labels for name in names] for labels in test["labels"]])
    assert fitted.facts["rows"] == 391
    # the note: .238 of the sets, Hamming loss .218, one row of 202 being .005. It does not say its C; of .03 ... 10 this one
    # gives both
    assert ((scores_NL >= PLANE) == truth_NL).all(axis=1).mean() == pytest.approx(0.238, abs=0.006)
    assert ((scores_NL >= PLANE) != truth_NL).mean() == pytest.approx(0.218, abs=0.002)
