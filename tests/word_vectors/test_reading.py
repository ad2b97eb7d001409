"""Word vectors out of files: every form that is read, and the one line for each that isn't."""

from __future__ import annotations

import gzip
import json
import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hf_mlc.errors import UserError
from hf_mlc.word_vectors.reading import read_word_vectors, width_of


GLOVE = "wheat 1 2 3\ncorn 0.5 -1e-2 0\n. . . 4 5 6\n"
VECTORS = [[1, 2, 3], [0.5, -0.01, 0], [4, 5, 6]]
WORDS = ["wheat", "corn", ". . ."]


def written(path, content):
    data = content.encode("utf-8") if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def assert_read(found, words=WORDS, vectors=VECTORS):
    assert found.words == words and found.vectors_WE.dtype == np.float32
    np.testing.assert_allclose(found.vectors_WE, vectors, rtol=1e-6)


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.vec", "vectors.txt.gz", "glove.6B.3d.txt"])
@pytest.mark.parametrize("head", ["", "3 3\n"])
def test_text_is_read_with_and_without_word2vecs_first_line(tmp_path, name, head):
    file = written(tmp_path / name, head + GLOVE)
    found = read_word_vectors(file)
    assert_read(found)
    assert found.num_rows == 3 and width_of(file) == 3


def test_blanks_at_the_end_tabs_windows_lines_and_a_byte_order_mark_are_read_over(tmp_path):
    file = written(tmp_path / "v.txt", "\ufeff2 2 \r\nwheat\t1\t2 \r\ncorn 3 4\r\n")
    assert_read(read_word_vectors(file), ["wheat", "corn"], [[1, 2], [3, 4]])


def test_words_may_hold_other_blanks_and_the_first_of_two_equal_words_counts(tmp_path):
    file = written(tmp_path / "v.txt", "a\u00a0b 1 2\nc 3 4\nc 5 6\n")
    found = read_word_vectors(file)
    assert_read(found, ["a\u00a0b", "c"], [[1, 2], [3, 4]])
    assert found.num_rows == 3


def test_only_wanted_words_are_kept_and_only_their_numbers_are_looked_at(tmp_path):
    file = written(tmp_path / "v.txt", "wheat 1 2\ncorn x y\nrye 3 4\n")
    assert_read(read_word_vectors(file, keep=lambda word: word != "corn"), ["wheat", "rye"], [[1, 2], [3, 4]])
    with pytest.raises(UserError, match=r"v.txt, row 2: found 'x'; accepted: a word, then numbers"):
        read_word_vectors(file)


@pytest.mark.parametrize("gz", ["", ".gz"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_npy_matrix_is_read_with_its_words(tmp_path, dtype, gz):
    np.save(tmp_path / "m.npy", np.array(VECTORS, dtype))
    file = tmp_path / "m.npy"
    if gz:
        file = written(tmp_path / "m.npy.gz", file.read_bytes())
    words = written(tmp_path / f"words.txt{gz}", "\n".join(WORDS) + "\n")
    found = read_word_vectors(file, vocabulary=words)
    assert found.words == WORDS and width_of(file) == 3
    np.testing.assert_allclose(found.vectors_WE, VECTORS, rtol=1e-3)


@pytest.mark.parametrize("content", [WORDS, {WORDS[2]: 2, WORDS[0]: 0, WORDS[1]: 1}], ids=["list", "object"])
def test_a_safetensors_matrix_is_read_with_its_words_in_json(tmp_path, content):
    save_file({"anything": torch.tensor(VECTORS).bfloat16()}, tmp_path / "m.safetensors")
    words = written(tmp_path / "words.json", json.dumps(content))
    found = read_word_vectors(tmp_path / "m.safetensors", vocabulary=words, keep=lambda word: word != "corn")
    assert found.words == ["wheat", ". . ."] and found.num_rows == 3
    np.testing.assert_allclose(found.vectors_WE, [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"v.txt, field 'word_vectors': an empty file"),
        ("wheat\n", r"row 1: found 'wheat' alone; accepted: a word, then its numbers"),
        ("wheat 1 2\ncorn 3\n", r"row 2: 1 numbers, where the first line has 2; accepted: a word, then 2 numbers"),
        ("wheat 1 2\n\ncorn 3 4\n", r"row 2: 0 numbers, where the first line has 2"),
        ("3 2\nwheat 1 2\ncorn 3 4\n", r"row 3: 2 words, and the first line says 3; accepted: a whole file"),
        ("1 2\nwheat 1 2\ncorn 3 4\n", r"row 3: 2 words, and the first line says 1"),
        ("0 2\n", r"row 1: found '0 2'; accepted: WORDS NUMBERS, both above 0"),
        ("wheat 1 nan\n", r"row 1: a number that is not finite"),
        ("wheat 1 2\ncorn 1 inf\n", r"row 2: a number that is not finite"),
        ("wheat 1 two\n", r"row 1: found 'two'; accepted: a word, then numbers"),
        (b"wheat 1 2\n\xff 1 2\n", r"row 2: not UTF-8: byte 0xff"),
    ],
)
def test_what_is_wrong_in_a_text_file_is_said_with_its_row(tmp_path, content, message):
    with pytest.raises(UserError, match=message) as raised:
        read_word_vectors(written(tmp_path / "v.txt", content))
    assert "\n" not in str(raised.value)


def test_pickled_and_binary_files_are_never_opened(tmp_path):
    class Opened:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "opened"),)

    for ending in ("bin", "pkl", "pt", "kv", "model", "npz"):
        file = written(tmp_path / f"v.{ending}", pickle.dumps(Opened()))
        with pytest.raises(UserError, match="may be pickled or binary, and is not opened"):
            read_word_vectors(file)
    words = written(tmp_path / "w.txt", "a\n")
    np.save(tmp_path / "m.npy", np.array([[Opened()]], dtype=object), allow_pickle=True)
    written(tmp_path / "m.npy.gz", (tmp_path / "m.npy").read_bytes())
    for name in ("m.npy", "m.npy.gz"):
        with pytest.raises(UserError, match=r"can't be read .*[Oo]bject"):
            read_word_vectors(tmp_path / name, vocabulary=words)
    assert not (tmp_path / "opened").exists()
    pickle.loads((tmp_path / "v.pkl").read_bytes())  # it would have shown
    assert (tmp_path / "opened").exists()


def test_what_is_wrong_with_a_matrix_or_its_words_is_one_line(tmp_path):
    words = written(tmp_path / "w.txt", "a\nb\n")
    cases = {
        "ints.npy": (np.zeros((2, 3), int), "an array of int64 and shape"),
        "cube.npy": (np.zeros((2, 3, 4)), r"shape \(2, 3, 4\)"),
        "three.npy": (np.zeros((3, 2)), "2 words for the 3 rows of three.npy"),
        "nan.npy": (np.array([[1.0, 2.0], [3.0, np.nan]]), "nan.npy, row 2: a number that is not finite"),
    }
    for name, (matrix, message) in cases.items():
        np.save(tmp_path / name, matrix)
        with pytest.raises(UserError, match=message):
            read_word_vectors(tmp_path / name, vocabulary=words)
    save_file({"a": torch.zeros(2, 2), "b": torch.zeros(2, 2)}, tmp_path / "two.safetensors")
    with pytest.raises(UserError, match=r"2 tensors \(a, b\); accepted: a file of one matrix"):
        read_word_vectors(tmp_path / "two.safetensors", vocabulary=words)
    written(tmp_path / "cut.npy", (tmp_path / "three.npy").read_bytes()[:-5])
    written(tmp_path / "cut.safetensors", (tmp_path / "two.safetensors").read_bytes()[:-5])
    written(tmp_path / "cut.txt.gz", "a 1 2\n" * 100)
    (tmp_path / "cut.txt.gz").write_bytes((tmp_path / "cut.txt.gz").read_bytes()[:-9])
    for name, vocabulary in (("cut.npy", words), ("cut.safetensors", words), ("cut.txt.gz", None)):
        with pytest.raises(UserError, match=f"{name}, field 'word_vectors': can't be read"):
            read_word_vectors(tmp_path / name, vocabulary=vocabulary)
    np.save(tmp_path / "good.npy", np.zeros((2, 2)))
    for content, message in (
        ('{"a": 0, "b": 0}', "row numbers that leave one out or repeat one"),
        ('{"a": 0, "b": 2}', "row numbers that leave one out or repeat one"),
        ('["a", 1]', "no list of words"),
        ('["a", ', "can't be read"),
    ):
        with pytest.raises(UserError, match=message):
            read_word_vectors(tmp_path / "good.npy", vocabulary=written(tmp_path / "w.json", content))
    with pytest.raises(UserError, match=r"w2.txt, row 2: an empty line"):
        read_word_vectors(tmp_path / "good.npy", vocabulary=written(tmp_path / "w2.txt", "a\n\nb\n"))


def test_files_that_do_not_go_together_are_refused_before_anything_is_read(tmp_path):
    text, words = written(tmp_path / "v.txt", GLOVE), written(tmp_path / "w.txt", "a\n")
    np.save(tmp_path / "m.npy", np.zeros((1, 2)))
    with pytest.raises(UserError, match="a matrix without words"):
        read_word_vectors(tmp_path / "m.npy")
    with pytest.raises(UserError, match="a text file has its words in it"):
        read_word_vectors(text, vocabulary=words)
    with pytest.raises(UserError, match=r"none.txt, field 'word_vectors_vocabulary': no such file"):
        read_word_vectors(tmp_path / "m.npy", vocabulary=tmp_path / "none.txt")
    with pytest.raises(UserError, match=r"no such file; accepted: .* or 'corpus'"):
        read_word_vectors(tmp_path / "none.txt")
