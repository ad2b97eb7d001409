from __future__ import annotations

import pytest
import yaml

from hf_mlc.cards import merge_card
from hf_mlc.cards.merge import BEGIN, END, metadata_record
from hf_mlc.errors import UserError


def generated(body: str = "facts", **metadata) -> str:
    """A card as `render_card` makes it, with this metadata."""
    header = yaml.safe_dump(metadata, sort_keys=False)
    return f"---\n{header}---\n\n# model\n\n{BEGIN}\n{metadata_record(metadata)}\n\n{body}\n{END}\n"


def metadata_of(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


NEW = generated("new facts", license="mit", tags=["hf_mlc"])


def test_without_a_readme_the_card_is_the_generated_one():
    assert merge_card("", NEW) == NEW


def test_prose_around_the_markers_stays_and_what_is_between_them_is_replaced():
    old = generated("old facts", license="mit", tags=["hf_mlc"])
    own = old.replace("# model\n", "# My model\n\nAsk me.\n") + "\n## Thanks\n\nTo everyone.\n"
    merged = merge_card(own, NEW)
    assert "# My model\n\nAsk me.\n" in merged and merged.endswith("\n## Thanks\n\nTo everyone.\n")
    assert "new facts" in merged and "old facts" not in merged


def test_prose_without_markers_is_followed_by_the_facts_and_keeps_its_title():
    merged = merge_card("# Mine\n\nWords.", NEW)
    assert merged.index("Words.") < merged.index(BEGIN)
    assert "# Mine" in merged and "# model" not in merged
    assert metadata_of(merged) == {"license": "mit", "tags": ["hf_mlc"]}


@pytest.mark.parametrize(
    "own",
    [
        "",
        "# Mine\n\nWords.\n",
        "---\nlicense: gpl-3.0\n---\n",
        "---\nlicense: gpl-3.0\n---\nWords\n",
        "\ufeff---\r\nlicense: gpl-3.0\r\n---\r\nWords\r\nand more\r\n",
        "Words --- and\n---\nno metadata\n",
        NEW + "\nmy words\n",
        generated("old facts", license="apache-2.0", widget=[{"text": "a: b"}]),
        generated("old facts", license="apache-2.0").replace(
            "license: apache-2.0", "# why\nlicense: gpl-3.0  # so\nlanguage: no"
        ),
    ],
)
def test_merging_twice_gives_the_same_bytes(own):
    once = merge_card(own, NEW)
    assert merge_card(once, NEW) == once


def test_metadata_that_the_user_set_wins_and_later_generations_do_not_take_it_back():
    own = "---\nlicense: gpl-3.0\nco2: 3\n---\nWords\n"
    once = merge_card(own, generated(license="mit", tags=["hf_mlc"]))
    assert metadata_of(once) == {"license": "gpl-3.0", "co2": 3, "tags": ["hf_mlc"]}
    again = merge_card(once, generated(license="apache-2.0", tags=["hf_mlc", "plant"]))
    assert metadata_of(again) == {"license": "gpl-3.0", "co2": 3, "tags": ["hf_mlc", "plant"]}


def test_metadata_that_nobody_touched_follows_the_next_generation():
    first = merge_card("", generated(license="mit", metrics=["f1"], tags=["a"]))
    second = merge_card(first, generated(license="apache-2.0", tags=["a"]))
    assert metadata_of(second) == {"license": "apache-2.0", "tags": ["a"]}  # `metrics` was ours, and is no longer


def test_the_users_own_lines_of_metadata_are_kept_as_they_were_written():
    own = "---\n# the top\nlanguage:\n- no   # Norwegian, which YAML reads as false\nlicense: mit\n---\nWords\n"
    merged = merge_card(own, generated(license="apache-2.0", tags=["hf_mlc"]))
    assert "# the top\nlanguage:\n- no   # Norwegian, which YAML reads as false\nlicense: mit\ntags:" in merged


def test_metadata_whose_lines_cannot_be_told_apart_is_still_whole():
    own = "---\nbase: &b {x: 1}\nother: *b\nlicense: mit\n---\n"
    once = merge_card(own, generated(license="apache-2.0", base="taken"))
    assert metadata_of(once)["other"] == {"x": 1} and metadata_of(once)["license"] == "mit"


def test_line_ends_of_the_users_prose_stay():
    merged = merge_card("Words\r\nand more\r\n", NEW)
    assert "Words\r\nand more\r\n\r\n" + BEGIN in merged


def test_a_record_that_somebody_broke_means_that_all_metadata_is_the_users():
    broken = generated(license="mit").replace("metadata {", "metadata {{")
    assert metadata_of(merge_card(broken, generated(license="apache-2.0")))["license"] == "mit"


@pytest.mark.parametrize(
    "body",
    [
        f"{BEGIN}\nfacts",
        f"facts\n{END}",
        f"{END}\n{BEGIN}",
        f"{BEGIN}\n{END}\n{BEGIN}\n{END}",
        f"{BEGIN}\n{BEGIN}\n{END}",
    ],
)
def test_markers_that_are_no_pair_are_an_error_that_names_the_line(body):
    with pytest.raises(UserError, match=r"README.md, row [45]: markers"):
        merge_card(f"---\nlicense: mit\n---\n{body}\n", NEW)


def test_a_marker_inside_a_line_is_no_marker():
    own = f"The markers are {BEGIN} and {END}.\n"
    assert merge_card(own, NEW).startswith("---\n") and own in merge_card(own, NEW)


@pytest.mark.parametrize("header", ["license: [", "- a list", "just text"])
def test_metadata_that_is_no_mapping_is_an_error(header):
    with pytest.raises(UserError, match=r"README\.md"):
        merge_card(f"---\n{header}\n---\nWords\n", NEW)
