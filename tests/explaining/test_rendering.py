from __future__ import annotations

import builtins
import html
import io
import re

import pytest
from matplotlib.image import imread

from hf_mlc.errors import UserError
from hf_mlc.explaining import Explanation, to_html, to_png
from hf_mlc.explaining.shades import AGAINST, FAINT_INK, FOR, INK, pieces_of


def explanation(text: str, weights: dict[str, float], **others) -> Explanation:
    """Each word of `text` that `weights` names is a token."""
    offsets = [match.span() for match in re.finditer(r"\S+", text) if match.group() in weights]
    arguments = {
        "label": "A", "label_id": 0, "description": None, "method": "direct_logit_attribution", "score": 0.75,
        "threshold": 0.5, "predicted": True, "read_to": len(text),
    }  # fmt: skip
    tokens = [text[start:end] for start, end in offsets]
    return Explanation(
        text=text,
        tokens=tokens,
        offsets=offsets,
        weights=[weights[token] for token in tokens],
        **{**arguments, **others},
    )


def shown_text(page: str) -> list[str]:
    """What a reader sees of the texts: their elements without tags."""
    return [
        html.unescape(re.sub(r"<[^>]*>", "", text))
        for text in re.findall(r'<div class="text">(.*?)</div>', page, re.S)
    ]


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio of two colours, from 1 to 21."""

    def luminance(colour: str) -> float:
        channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_is_dark_enough_on_every_shade():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert min(contrast(INK, shade) for shade in FOR + AGAINST) > 7  # WCAG AAA
    assert contrast(FAINT_INK, "#ffffff") > 7


def test_each_shade_doubles_the_weight_of_the_one_before():
    text = "a b c d e f g h -"
    weights = {"a": 1.0, "b": 0.5, "c": 0.4, "d": 0.125, "e": 0.0625, "f": 1 / 32, "g": 0.03, "h": -0.5, "-": 0.0}
    pieces = pieces_of(explanation(text, weights))
    assert {piece.text: piece.shade for piece in pieces if piece.text.strip()} == {
        "a": 5, "b": 5, "c": 4, "d": 3, "e": 2, "f": 1, "g": 0, "h": -5, "-": 0,
    }  # fmt: skip
    assert "".join(piece.text for piece in pieces) == text


def test_nothing_is_shaded_where_nothing_weighs():
    assert {piece.shade for piece in pieces_of(explanation("fever cough", {"fever": 0.0, "cough": 0.0}))} == {0}
    assert pieces_of(explanation("", {})) == []


def test_everything_from_data_is_escaped():
    hostile = "<script>alert(\"1\")</script> & 'fever' </div><img src=x onerror=alert(2)>"
    page = to_html(
        [
            explanation(hostile, {"&": 1.0}, label="<b>", description='"><i>', document="</h2>"),
            explanation(hostile, {'<script>alert("1")</script>': 0.5, "src=x": -1.0}),
        ],
        title="<title>",
    )
    assert shown_text(page) == [hostile, hostile]
    tags = set(re.findall(r"<\s*/?\s*([a-zA-Z!][\w-]*)", page))
    assert tags == {
        "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "main", "h1", "p", "article", "h2", "mark", "div",
        "br", "details", "summary", "table", "thead", "tbody", "tr", "th", "td",
    }  # fmt: skip
    assert "<h2>&lt;/h2&gt; · &lt;b&gt;: &quot;&gt;&lt;i&gt;</h2>" in page


def test_the_page_needs_nothing_from_elsewhere():
    page = to_html([explanation("see http://example.org", {"see": 1.0})])
    assert not re.search(r"<script|<link|@import|url\(|src=|href=|\son\w+=", page)


def test_words_say_what_colours_say():
    text = "no fever\nbut cough"
    page = to_html([explanation(text, {"fever": -2.0, "cough": 4.0, "no": 1.0})], top_words=2)
    assert '<mark class="against against5" title="-2.0000">fever</mark>' in page
    assert '<mark class="for for5" title="+4.0000">cough</mark>' in page
    assert page.count("<tr>") == 3 and "<td>cough</td>" in page and "<td>fever</td>" not in page
    assert "score 0.750 (predicted; threshold 0.500)" in page
    assert shown_text(page) == [text]
    assert "against it" not in to_html([explanation(text, {"cough": 4.0})])


def test_what_was_not_read_is_marked():
    page = to_html([explanation("fever cough", {"fever": 1.0}, read_to=5)])
    assert '<span class="unread"> cough</span>' in page and "cut off at character 5" in page
    assert "cut off" not in to_html([explanation("fever cough", {"fever": 1.0})])


def test_what_was_not_read_before_the_text_is_marked():
    page = to_html([explanation("well fever cough", {"cough": 1.0}, read_from=5)])
    assert '<span class="unread">well </span>' in page and "cut off before character 5" in page
    assert shown_text(page) == ["well fever cough"]


def test_a_page_without_explanations_says_so():
    assert "No label was predicted." in to_html([])


def pixels(picture: bytes):
    return (imread(io.BytesIO(picture), format="png")[:, :, :3] * 255).round().astype(int)


def holds(picture: bytes, colour: str) -> bool:
    """Whether more of the picture than a stray pixel has this very colour."""
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return (pixels(picture) == wanted).all(axis=2).sum() > 200


def test_a_picture_holds_the_shades_of_its_words():
    both = to_png([explanation("no fever but cough", {"fever": -2.0, "cough": 4.0})])
    assert holds(both, FOR[4]) and holds(both, AGAINST[4])
    # the legend of attention has no word against a label
    alone = to_png([explanation("no fever but cough", {"cough": 4.0}, method="attention")])
    assert holds(alone, FOR[4]) and not holds(alone, AGAINST[4])


def test_a_picture_grows_with_its_text_and_is_never_wider():
    short, long = (pixels(to_png([explanation("fever " * times, {"fever": 1.0})])) for times in (3, 400))
    assert short.shape[1] == long.shape[1] == 1500
    assert long.shape[0] > short.shape[0] + 300
    # nothing is drawn into the margins, of a word too long for a line either
    for picture in (long, pixels(to_png([explanation("x" * 500, {"x" * 500: 1.0})]))):
        assert (picture[:, :40] == 255).all() and (picture[:, -40:] == 255).all()


def test_signs_of_formulas_and_markup_are_only_characters():
    to_png([explanation("costs $5 \\frac{1} ^2 $ <b> \t |", {"$5": 1.0}, label="$x", description="a_b$")])


def test_pictures_that_cannot_be_drawn_are_refused_in_one_line(monkeypatch):
    with pytest.raises(UserError, match="no label was predicted"):
        to_png([])
    with pytest.raises(UserError, match="pixels tall; accepted: fewer"):
        to_png([explanation("fever\n" * 3000, {"fever": 1.0})])

    def without_matplotlib(name, *args, _import=builtins.__import__, **kwargs):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError("No module named 'matplotlib'")
        return _import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(UserError, match=r"pip install hf_mlc\[explain\]"):
        to_png([explanation("fever", {"fever": 1.0})])
    assert "fever" in to_html([explanation("fever", {"fever": 1.0})])
