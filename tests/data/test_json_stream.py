"""A large JSON object read piece by piece gives what `json.load` gives."""

from __future__ import annotations

import gzip
import json
import random
import tracemalloc

import pytest

from hf_mlc.data import json_stream
from hf_mlc.data.json_stream import read_members
from hf_mlc.errors import UserError


def rebuilt(file) -> dict:
    """The object, put together again from its pieces."""
    whole = {}
    for key, place, value in read_members(file):
        if place is None:
            whole[key] = value
        else:
            whole.setdefault(key, []).append(value)
            assert len(whole[key]) == place
    return whole


def anything(rng: random.Random, depth: int = 0):
    kind = rng.randrange(7 if depth < 3 else 5)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return rng.choice([0, -17, 12345678901234567890, 3.25, -1e-7, 6e30])
    if kind < 5:
        return "".join(rng.choice('ab "\\/\n\tü語😀,]}[{:') for _ in range(rng.randrange(12)))
    if kind == 5:
        return [anything(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {str(n) + rng.choice(["", "é"]): anything(rng, depth + 1) for n in range(rng.randrange(4))}


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 2**20])
def test_pieces_put_together_are_what_was_written_however_the_file_is_cut(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(json_stream, "CHUNK", chunk)
    rng = random.Random(chunk)
    for number in range(15):
        content = {f"k{n}": anything(rng) for n in range(rng.randrange(5))}
        text = json.dumps(content, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1]))
        file = tmp_path / f"{number}.json"
        file.write_text(text + rng.choice(["", "\n"]), encoding="utf-8")
        assert rebuilt(file) == content


def test_gzipped_with_a_byte_order_mark(tmp_path):
    file = tmp_path / "a.json.gz"
    file.write_bytes(gzip.compress(b'\xef\xbb\xbf {"a": [1, 2], "b": 12}  '))
    assert list(read_members(file)) == [("a", 1, 1), ("a", 2, 2), ("b", None, 12)]


def test_memory_does_not_grow_with_the_file(tmp_path):
    def peak(number: int) -> int:
        file = tmp_path / f"{number}.json"
        element = {"id": 1, "segmentation": [[1.5] * 200]}
        file.write_text(json.dumps({"annotations": [element] * number}), encoding="utf-8")
        tracemalloc.start()
        assert sum(1 for _ in read_members(file)) == number
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert file.stat().st_size > 1000 * number
        return most

    # 3 MB and 12 MB: what is held are a few chunks of 1 MiB
    assert peak(12_000) < 1.2 * peak(3_000)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", "an empty file"),
        (b"[1]", "found '[', expected '{'"),
        (b'{"a": [1, 2', "cut short"),
        (b'{"a": [1, {"b": 2', "not JSON"),
        (b'{"a": 1', "cut short"),
        (b'{"a": tru}', "Expecting value"),
        (b'{"a" 1}', "found '1', expected ':'"),
        (b'{"a": [1 2]}', "found '2', expected ',' or ']'"),
        (b'{"a": 1} {', "something follows the object"),
        (b'{"a": "\xff"}', "not UTF-8: byte 0xff"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_file(tmp_path, content, fragment):
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        list(read_members(file))
    assert fragment in str(caught.value) and str(file) in str(caught.value)
    file.with_suffix(".json.gz").write_bytes(gzip.compress(b'{"a": [1, 2, 3]}')[:-9])
    with pytest.raises(UserError, match="cut short"):
        list(read_members(file.with_suffix(".json.gz")))


def test_a_mistake_at_the_beginning_is_found_without_reading_on(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "CHUNK", 100)
    file = tmp_path / "a.json"
    file.write_text('{"a": [{"b": wrong},' + "1," * 100_000 + "1]}", encoding="utf-8")
    reads = []
    real = json_stream._Reader._read_on
    monkeypatch.setattr(json_stream._Reader, "_read_on", lambda *a, **k: (reads.append(1), real(*a, **k))[1])
    with pytest.raises(UserError, match="Expecting value"):
        list(read_members(file))
    assert len(reads) < 3
