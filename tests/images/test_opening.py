"""Pictures of every kind come out as RGB, the right way up; what is none is an error that says so."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from hf_mlc.errors import UserError
from hf_mlc.images.opening import check_image, open_image, pictures_in


def as_array(picture) -> np.ndarray:
    assert picture.mode == "RGB"
    return np.asarray(picture)


def test_a_file_its_path_its_bytes_and_an_open_picture_are_the_same(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    file = tmp_path / "a.png"
    Image.fromarray(pixels).save(file)
    undecoded = {"path": None, "bytes": file.read_bytes()}
    for source in (file, str(file), {"path": str(file), "bytes": None}, undecoded, Image.open(file)):
        assert (as_array(open_image(source)) == pixels).all()


def test_grey_palette_and_16_bits_keep_their_levels(tmp_path):
    levels = np.array([[0, 100, 255]], dtype=np.uint8)
    grey = Image.fromarray(levels)
    for picture in (grey, grey.convert("P"), grey.convert("CMYK")):
        assert (as_array(open_image(picture))[0, :, 0] == [0, 100, 255]).all()
    file = tmp_path / "deep.png"
    Image.fromarray(levels.astype(np.uint16) * 257).save(file)
    assert (as_array(open_image(file))[0, :, 1] == [0, 100, 255]).all()


def test_numbers_are_scaled_by_what_is_white_in_their_mode():
    def grey(values: list[float], kind: type) -> list[int]:
        return as_array(open_image(Image.fromarray(np.array([values], dtype=kind))))[0, :, 0].tolist()

    assert grey([0, 0.5, 1], np.float32) == [0, 128, 255]
    assert grey([0, 0.2, 0.5], np.float32) == [0, 51, 128]
    assert grey([0, 100, 200], np.float32) == [0, 100, 200]
    assert grey([0, 25700, 65535], np.float32) == [0, 100, 255]
    # 16 bits are 16 bits however dark the picture is: 200 / 257 is less than 1
    assert grey([0, 50, 200], np.uint16) == [0, 0, 1]
    assert grey([0, 514, 65535], np.uint16) == [0, 2, 255]
    # 32 bits don't say what white is: the picture's own maximum does
    assert grey([0, 100, 200], np.int32) == [0, 100, 200]
    assert grey([0, 514, 65535], np.int32) == [0, 2, 255]


def test_a_transparent_colour_is_white(tmp_path):
    picture = Image.new("RGB", (2, 1), (255, 0, 0))
    picture.putpixel((1, 0), (1, 2, 3))
    picture.save(tmp_path / "a.png", transparency=(255, 0, 0))
    assert Image.open(tmp_path / "a.png").mode == "RGB"
    assert as_array(open_image(tmp_path / "a.png")).tolist() == [[[255, 255, 255], [1, 2, 3]]]
    picture.info["transparency"] = b"\0"  # left over from a palette: no colour
    assert as_array(open_image(picture)).tolist() == [[[255, 0, 0], [1, 2, 3]]]


def test_transparent_parts_are_white_and_a_turned_photograph_is_upright(tmp_path):
    clear = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    clear.putpixel((1, 0), (10, 20, 30, 255))
    assert as_array(open_image(clear)).tolist() == [[[255, 255, 255], [10, 20, 30]]]
    turned = Image.new("RGB", (4, 2), "red")
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    file = tmp_path / "a.jpg"
    turned.save(file, exif=exif)
    assert open_image(file).size == (2, 4)


def test_of_several_frames_the_first(tmp_path):
    frames = [Image.new("RGB", (3, 3), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert as_array(open_image(tmp_path / "a.gif"))[0, 0].tolist() == [255, 0, 0]


def test_what_is_no_picture_is_an_error_that_names_it(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture at all")
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(stream, "PNG")
    (tmp_path / "cut.png").write_bytes(stream.getvalue()[:-2000])
    with pytest.raises(UserError, match=r"a\.png: no picture; accepted: a whole picture"):
        check_image(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"d\.jsonl, row 7, field 'image': .*a\.png: no picture"):
        open_image(str(tmp_path / "a.png"), file="d.jsonl", row=7)
    with pytest.raises(UserError, match=r"b\.png: no such file"):
        open_image(tmp_path / "b.png")
    check_image(tmp_path / "cut.png")  # its head is whole
    with pytest.raises(UserError, match=r"cut\.png: "):
        open_image(tmp_path / "cut.png")
    with pytest.raises(UserError, match="download it first"):
        open_image("https://example.org/a.png")
    with pytest.raises(UserError, match="found int"):
        open_image(3)


def test_a_folder_of_pictures_sorted_without_other_files(tmp_path):
    for name in ("b.PNG", "a.jpg", "notes.txt"):
        (tmp_path / name).touch()
    assert [file.name for file in pictures_in(tmp_path)] == ["a.jpg", "b.PNG"]
    assert pictures_in("x.jsonl") is None and [str(file) for file in pictures_in("x.jpeg")] == ["x.jpeg"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no picture"):
        pictures_in(tmp_path / "empty")
