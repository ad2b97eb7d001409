"""The label space: names, ids, counts, descriptions, parents, and what it answers to mistakes."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from hf_mlc import label_storage
from hf_mlc.errors import UserError
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_plant import PlantConfig


def small() -> LabelSpace:
    return LabelSpace.from_label_lists([["wheat", "grain"], ["earn"], [], ["grain", "grain"]])


def test_labels_of_a_training_split_are_sorted_and_counted_once_a_document():
    space = small()
    assert space.names == ["earn", "grain", "wheat"]
    assert space.counts.tolist() == [1, 2, 1] and space.counts.dtype == np.int64
    assert space.num_documents == 4
    assert len(space) == 3 and "grain" in space and "corn" not in space


def test_names_that_are_all_integers_are_sorted_as_numbers():
    assert LabelSpace.from_label_lists([["10", "9"], ["-1"]]).names == ["-1", "9", "10"]
    assert LabelSpace.from_label_lists([["10", "9"], ["x"]]).names == ["10", "9", "x"]


def test_integer_labels_without_names_are_names():
    space = LabelSpace.from_label_lists([[100, 7], [7]])
    assert space.names == ["7", "100"] and space.counts.tolist() == [2, 1]
    assert space.encode([100]).tolist() == space.encode(["100"]).tolist() == [1]


def test_integer_labels_with_given_names_are_ids():
    space = LabelSpace.from_label_lists([[0, 2], [2]], names=["b", "a", "c"])
    assert space.names == ["b", "a", "c"] and space.counts.tolist() == [1, 0, 2] and space.num_documents == 2
    assert space.encode([2, "b"]).tolist() == [0, 2]
    with pytest.raises(UserError, match="label 3 is not in the label space; accepted: names, or ids from 0 to 2"):
        space.encode([3])


def test_given_names_keep_their_order():
    assert LabelSpace.from_label_lists([["a"], ["b"]], names=["b", "a"]).names == ["b", "a"]


def test_encode_gives_sorted_unique_int64_ids():
    ids = small().encode(["wheat", "earn", "wheat"])
    assert ids.tolist() == [0, 2] and ids.dtype == np.int64
    assert small().encode([]).shape == (0,) and small().encode([]).dtype == np.int64


def test_an_unknown_label_is_named_with_its_place_and_a_near_match():
    with pytest.raises(UserError) as caught:
        small().encode(["wheet"], file="test.jsonl", row=7)
    assert str(caught.value) == (
        "test.jsonl, row 7, field 'labels': label 'wheet' is not in the label space; "
        "accepted: one of 3 labels; did you mean 'wheat'?"
    )


def test_an_unknown_training_label_of_a_given_list_names_its_row():
    with pytest.raises(UserError, match=r"train.csv, row 2, field 'labels': label 'b'"):
        LabelSpace.from_label_lists([["a"], ["b"]], names=["a"], file="train.csv")


def test_unknown_labels_can_be_counted_instead():
    ids, unknown = small().encode_known(["wheat", "x", "y", "x"])
    assert ids.tolist() == [2] and unknown == 2


@pytest.mark.parametrize("label", [None, 1.0, True, ["earn"]])
def test_a_label_of_another_type_is_not_in_the_space(label):
    with pytest.raises(UserError, match="is not in the label space"):
        small().encode([label])


def test_decode_is_the_inverse_and_rejects_ids_outside():
    space = small()
    assert space.decode(space.encode(["wheat", "earn"])) == ["earn", "wheat"]
    for outside in (-1, 3):
        with pytest.raises(UserError, match=f"no label has the id {outside}; accepted: ids from 0 to 2"):
            space.decode([outside])


def test_the_id_of_one_name():
    assert small().id("grain") == 1
    with pytest.raises(UserError, match="'corn'"):
        small().id("corn")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b", "a"], "label 'a' stands twice, at 0 and 2"),
        (["a", ""], "label 1 has an empty name"),
        ([" \t"], "label 0 has an empty name"),
        (["a", 3], "label 1 is a int"),
        (
            ["a", "Caf\ud83d"],
            "label 1, 'Caf.ud83d', has half a surrogate pair at character 3; accepted: text that is valid",
        ),
        ([], "a label space without labels"),
    ],
)
def test_bad_lists_of_names_are_errors(names, message):
    with pytest.raises(UserError, match=message):
        LabelSpace.from_names(names)


def test_training_rows_without_any_label_are_an_error():
    with pytest.raises(UserError, match="no label in any of the 2 training rows"):
        LabelSpace.from_label_lists([[], []])


@pytest.mark.parametrize("labels", [["1", 1], [1.5], [True], [None, "a"]])
def test_labels_of_mixed_or_other_types_are_an_error(labels):
    with pytest.raises(UserError, match="labels"):
        LabelSpace.from_label_lists([labels])


def test_descriptions_and_parents_may_be_given_by_name():
    space = LabelSpace.from_label_lists(
        [["dog"], ["cat"], ["animal"]],
        descriptions={"cat": "meows", "unicorn": "not in this data set"},
        parents={"cat": "animal", "dog": 0},
    )
    assert space.names == ["animal", "cat", "dog"]
    assert space.descriptions == [None, "meows", None]
    assert space.parents.tolist() == [-1, 0, 0] and space.parents.dtype == np.int64


def test_parents_may_be_given_in_order():
    assert LabelSpace.from_names(["a", "b", "c"], parents=[None, "a", 1]).parents.tolist() == [-1, 0, 1]


@pytest.mark.parametrize("parent", ["x", 3, -2, True, 0.5])
def test_an_unknown_parent_is_an_error(parent):
    with pytest.raises(UserError, match="of label 'b' is not a label"):
        LabelSpace.from_names(["a", "b", "c"], parents=[None, parent, None])


@pytest.mark.parametrize("parents", [[1, 2, 0], [0, -1, -1], [-1, 2, 1]])
def test_a_label_that_is_its_own_ancestor_is_an_error(parents):
    with pytest.raises(UserError, match="is its own ancestor"):
        LabelSpace.from_names(["a", "b", "c"], parents=parents)


@pytest.mark.parametrize("what", ["counts", "descriptions", "parents"])
def test_lists_of_another_length_are_an_error(what):
    with pytest.raises(UserError, match=f"field '{what}': 1 entries for 2 labels"):
        LabelSpace.from_names(["a", "b"], **{what: [-1]})


def test_saving_and_loading_changes_nothing(tmp_path):
    space = LabelSpace.from_label_lists([["é", "b"], []], descriptions={"é": "with\nlines"}, parents={"é": "b"})
    assert space.save(tmp_path) == tmp_path / "labels.json"
    assert LabelSpace.load(tmp_path) == LabelSpace.load(tmp_path / "labels.json") == space
    assert json.loads(json.dumps(space.to_dict())) == space.to_dict()
    given = LabelSpace.from_names(["x"])
    assert LabelSpace.from_dict(given.to_dict()) == given and given.integers_are_ids
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.json"]


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    small().save(tmp_path)
    other = LabelSpace.from_names(["x"])
    monkeypatch.setattr(LabelSpace, "to_dict", lambda self: {"names": {1, 2}})  # a set is no JSON
    with pytest.raises(TypeError):
        other.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.json"]
    assert LabelSpace.load(tmp_path) == small()


def test_loading_what_is_no_label_space_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        LabelSpace.load(tmp_path)
    for content, message in (
        ("{", "not JSON"),
        ("3", "not a label space"),
        ("{}", "not a label space"),
        ('{"names": ["a"], "x": 1}', "'x'"),
    ):
        (tmp_path / "labels.json").write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=message):
            LabelSpace.load(tmp_path)


def test_spaces_differ_when_any_part_differs():
    one = LabelSpace.from_names(["a", "b"], counts=[1, 2], num_documents=2)
    assert one == LabelSpace.from_names(["a", "b"], counts=[1, 2], num_documents=2)
    assert one != LabelSpace.from_names(["b", "a"], counts=[1, 2], num_documents=2)
    assert one != LabelSpace.from_names(["a", "b"], counts=[2, 2], num_documents=2)
    assert one != LabelSpace.from_names(["a", "b"])


def test_propensities_follow_jain_et_al():
    space = LabelSpace.from_names(["a", "b"], counts=[0, 10], num_documents=100)
    # C = (ln 100 - 1) (1.5 + 1)^0.55 = 3.60517 * 1.65524 = 5.96744
    # p_a = 1 / (1 + C 1.5^-0.55) = 1 / (1 + 5.96744 * 0.80010) = 0.17317
    # p_b = 1 / (1 + C 11.5^-0.55) = 1 / (1 + 5.96744 * 0.26098) = 0.39102
    np.testing.assert_allclose(space.propensities(), [0.17317, 0.39102], atol=2e-5)
    c = (math.log(100) - 1) * 1.4**0.5
    np.testing.assert_allclose(space.propensities(0.5, 0.4), [1 / (1 + c * 0.4**-0.5), 1 / (1 + c * 10.4**-0.5)])


def test_the_constants_of_a_data_set_stay_with_its_labels(tmp_path):
    space = LabelSpace.from_names(["a", "b"], counts=[0, 10], num_documents=100)
    space = replace(space, propensity=(0.5, 0.4))
    c = (math.log(100) - 1) * 1.4**0.5
    np.testing.assert_allclose(space.propensities(), [1 / (1 + c * 0.4**-0.5), 1 / (1 + c * 10.4**-0.5)])
    assert LabelSpace.load(space.save(tmp_path)) == space
    assert space.counted([["a"], ["b"]]).propensity == (0.5, 0.4)
    usual = LabelSpace.from_names(["a", "b"], counts=[0, 10], num_documents=100)
    assert space != usual and "propensity" not in usual.to_dict()


@pytest.mark.parametrize("wrong", [0.5, [0.5], [0.5, 0], [-0.1, 1], [float("nan"), 1], ["a", 1], None])
def test_constants_that_make_no_propensity_are_refused(wrong):
    with pytest.raises(UserError, match="propensity"):
        LabelSpace(["a"], propensity=wrong)


def test_propensities_of_a_tiny_training_split_are_one():
    assert LabelSpace.from_names(["a"], counts=[1], num_documents=2).propensities().tolist() == [1.0]


def test_buckets_hold_their_limits():
    counts = [0, 1, 5, 6, 20, 21, 50, 51]
    space = LabelSpace.from_names(list("abcdefgh"), counts=counts, num_documents=51)
    assert space.bucket_of().tolist() == ["0", "1-5", "1-5", "6-20", "6-20", "21-50", "21-50", ">50"]


def test_without_counts_there_are_no_propensities_and_no_buckets():
    for statistic in ("propensities", "bucket_of"):
        with pytest.raises(UserError, match="no training counts"):
            getattr(LabelSpace.from_names(["a"]), statistic)()


# -- label files ----------------------------------------------------------------------------------------------------


def test_a_plain_list_of_names_is_a_label_file_whose_integers_are_ids(tmp_path):
    file = tmp_path / "icd.json"
    file.write_text('["b", "a", "7"]', encoding="utf-8")
    space = LabelSpace.load(file)
    assert space.names == ["b", "a", "7"] and space.integers_are_ids
    assert space.encode([2, "b"]).tolist() == [0, 2]
    assert LabelSpace.load(file) == space
    file.write_text('{"names": ["b", "a"]}', encoding="utf-8")
    assert LabelSpace.load(file).integers_are_ids
    file.write_text('{"names": ["7", "0"], "counts": [1, 1]}', encoding="utf-8")
    assert LabelSpace.load(file).encode([0]).tolist() == [1]  # counts come from data, in which integers were names
    file.write_text('{"names": ["7", "0"], "integers_are_ids": false}', encoding="utf-8")
    assert LabelSpace.load(file).encode([0]).tolist() == [1]


def test_a_label_file_may_have_any_ending(tmp_path):
    (tmp_path / "names.txt").write_text('["a"]', encoding="utf-8")
    assert LabelSpace.load(tmp_path / "names.txt").names == ["a"]


@pytest.mark.parametrize("integers_are_ids", [True, False])
def test_what_an_integer_means_survives_saving(tmp_path, integers_are_ids):
    for counts in (None, [1, 2]):
        space = LabelSpace(["a", "b"], counts=counts, integers_are_ids=integers_are_ids)
        space.save(tmp_path)
        assert LabelSpace.load(tmp_path) == space


def test_digits_in_a_csv_are_ids_where_the_names_were_given():
    space = LabelSpace.from_names(["b", "1", "c"])
    assert space.encode(["2", "1", "0"]).tolist() == [0, 1, 2]  # "1" is a name, which goes first; the others are ids
    assert space.encode_known(["3", "007"]) == (pytest.approx([]), 2)
    with pytest.raises(UserError, match="label '3' is not in the label space; accepted: names, or ids from 0 to 2"):
        space.encode(["3"])
    assert small().encode_known(["0"])[1] == 1  # names from data: no ids


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"names": ["a", "b"], "counts": ["x", 1]}', "field 'counts': found 'x'; accepted: whole numbers from 0"),
        ('{"names": ["a", "b"], "counts": [1.5, 1]}', "field 'counts': found 1.5"),
        ('{"names": ["a", "b"], "counts": [-1, 1]}', "field 'counts': found -1"),
        ('{"names": ["a", "b"], "counts": [[1], 1]}', "field 'counts': lists inside a list"),
        ('{"names": ["a", "b"], "counts": [1]}', "field 'counts': 1 entries for 2 labels"),
        ('{"names": ["a", "b"], "counts": 7}', "field 'counts': found int"),
        ('{"names": ["a", "b"], "counts": [1, 9], "num_documents": 8}', "a label in 9 of 8 documents"),
        ('{"names": ["a", "b"], "num_documents": "many"}', "field 'num_documents': found 'many'"),
        ('{"names": "ab"}', "field 'names': found str"),
        ('{"names": ["a"], "descriptions": 3}', "field 'descriptions': found int"),
        ('{"names": ["a"], "descriptions": [1]}', "field 'descriptions': found 1; accepted: a sentence, or null"),
        ('{"names": ["a"], "counts": [9223372036854775808]}', "field 'counts': found 9223372036854775808"),
        (
            '{"names": ["a"], "integers_are_ids": "false"}',
            "field 'integers_are_ids': found 'false'; accepted: true or false",
        ),
        ('["a", "a"]', "label 'a' stands twice"),
        ('["a", "Caf\\ud83d"]', "field 'names': label 1, 'Caf\\ud83d', has half a surrogate pair"),
        (
            '{"names": ["a"], "descriptions": ["\\ud83d"]}',
            "field 'descriptions': what is said of 'a', '\\ud83d', has half a",
        ),
        ("[1, 2]", "label 0 is a int"),
    ],
)
def test_a_label_file_with_a_mistake_is_named(tmp_path, content, message):
    (tmp_path / "labels.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        LabelSpace.load(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/labels.json") and message in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_a_label_file(tmp_path):
    (tmp_path / "labels.json").write_bytes(b'\xef\xbb\xbf["a", "b"]')
    assert LabelSpace.load(tmp_path).names == ["a", "b"]


def test_a_label_file_that_is_not_there_is_named_as_it_was_given(tmp_path):
    for given, named in (("names.txt", "names.txt:"), ("folder", "folder/labels.json:")):
        with pytest.raises(UserError, match=f"{named} no such file"):
            LabelSpace.load(tmp_path / given)


# -- in a model's configuration -------------------------------------------------------------------------------------


def test_other_labels_take_the_place_of_those_in_a_file_that_was_not_read_yet(tmp_path, monkeypatch):
    monkeypatch.setattr(label_storage, "MAX_LABELS_IN_CONFIG", 1)
    config = PlantConfig(num_labels=2)
    label_storage.store_label_space(config, LabelSpace.from_names(["a", "b"]))
    config.save_pretrained(tmp_path)
    loaded = PlantConfig.from_pretrained(tmp_path, thresholds=[0.2, 0.3])
    label_storage.store_label_space(loaded, LabelSpace.from_names(["a", "b"], counts=[1, 2], num_documents=3))
    assert loaded.thresholds == [0.2, 0.3]  # the same labels, with new counts
    label_storage.store_label_space(loaded, LabelSpace.from_names(["c", "d"]))
    assert label_storage.read_label_space(loaded).names == ["c", "d"] and loaded.thresholds == 0.5
