"""ARFF files: what is read of them, and what is refused, with file and line."""

from __future__ import annotations

import gzip

import pytest

from hf_mlc.errors import UserError
from hf_mlc.tabular.arff import ArffFile, Attribute
from hf_mlc.tabular.mulan import label_attributes, read_label_names


HEADER = """% a comment
@RELATION  'of birds: -C 2'

@attribute 'wing span' NUMERIC
@ATTRIBUTE\tbeak {short, 'very long', "it's"}
@attribute "say \\"hi\\"" string
@attribute real_one real
@attribute kind {NO,YES}
@DATA
"""


def arff(tmp_path, body: str, header: str = HEADER) -> ArffFile:
    path = tmp_path / "d.arff"
    path.write_text(header + body, encoding="utf-8")
    return ArffFile(path)


def rows(file: ArffFile) -> list[dict]:
    return [values for _, values, _ in file.rows()]


def error_of(tmp_path, body: str, header: str = HEADER) -> str:
    with pytest.raises(UserError) as caught:
        rows(arff(tmp_path, body, header))
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_a_header_is_read_with_quotes_tabs_and_any_case(tmp_path):
    file = arff(tmp_path, "1,short,x,2,NO\n")
    assert file.relation == "of birds: -C 2"
    assert file.attributes == [
        Attribute("wing span", "numeric"),
        Attribute("beak", "nominal", ("short", "very long", "it's")),
        Attribute('say "hi"', "string"),
        Attribute("real_one", "numeric"),
        Attribute("kind", "nominal", ("NO", "YES")),
    ]


def test_the_values_of_a_nominal_attribute_may_follow_its_name_at_once(tmp_path):
    header = "@relation r\n@attribute on{0,1}\n@attribute 'a kind'{a, b}\n@attribute {word} numeric\n@attribute a{b real\n@data\n"
    assert arff(tmp_path, "1,b,2,3\n", header).attributes == [
        Attribute("on", "nominal", ("0", "1")),
        Attribute("a kind", "nominal", ("a", "b")),
        Attribute("{word}", "numeric"),
        Attribute("a{b", "numeric"),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1.5,short,word,2,NO", [1.5, "short", "word", 2, "NO"]),
        (" -1e3 , 'very long' , \"a, b\" , 4.0 , YES ", [-1000, "very long", "a, b", 4, "YES"]),
        ("?,?,?,?,?", [None] * 5),
        (r"0,'it\'s','?',1,NO", [0, "it's", "?", 1, "NO"]),
        (r"0,short,'tab\tnew\nline \\ slash',1,NO", [0, "short", "tab\tnew\nline \\ slash", 1, "NO"]),
        ("0,short,don't,1,NO", [0, "short", "don't", 1, "NO"]),
        ("0\tshort\tx\t1\tNO", [0, "short", "x", 1, "NO"]),
        ("0,short,,1,NO", [0, "short", "", 1, "NO"]),
    ],
)
def test_dense_rows(tmp_path, line, expected):
    file = arff(tmp_path, f"% nothing\n\n{line}\n")
    assert [(number, list(values.values()), sparse) for number, values, sparse in file.rows()] == [
        (12, expected, False)
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{0 1.5, 4 YES}", {0: 1.5, 4: "YES"}),
        ("{ 4  YES ,1 'very long', 2 'a, b' }", {4: "YES", 1: "very long", 2: "a, b"}),
        ('{1\t"it\'s",0 ?}', {1: "it's", 0: None}),
        ("{}", {}),
    ],
)
def test_sparse_rows(tmp_path, line, expected):
    file = arff(tmp_path, line + "\n")
    assert [(values, sparse) for _, values, sparse in file.rows()] == [(expected, True)]


def test_a_gzipped_file_is_read(tmp_path):
    path = tmp_path / "d.arff.gz"
    path.write_bytes(gzip.compress((HEADER + "1,short,x,2,NO\n").encode()))
    assert len(rows(ArffFile(path))) == 1
    path.write_bytes(gzip.compress((HEADER * 50).encode())[:60])
    with pytest.raises(UserError, match="not a sound gzip archive"):
        ArffFile(path)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1,short,x,2\n", "d.arff: line 10: 4 values; accepted: 5, one an attribute"),
        ("1,short,x,2,NO,3\n", "d.arff: line 10: 6 values; accepted: 5"),
        ("1,short,x,2,NO,{5}\n", "d.arff: line 10: a weight of the row: '{5}'; accepted: rows without weights"),
        ("\nold,short,x,2,NO\n", "d.arff, field 'wing span': line 11: found 'old'; accepted: a finite number, or ?"),
        ("inf,short,x,2,NO\n", "d.arff, field 'wing span': line 10: found 'inf'"),
        ("nan,short,x,2,NO\n", "d.arff, field 'wing span': line 10: found 'nan'"),
        ("1,huge,x,2,NO\n", "d.arff, field 'beak': line 10: found 'huge'; accepted: short, very long, it's"),
        ("1,'short,x,2,NO\n", "d.arff: line 10: no closing '; accepted: quotes that are closed"),
        ("1,'short'er,x,2,NO\n", "d.arff: line 10: found 'er' behind a quote; accepted: a comma"),
        ("{0 1\n", "d.arff: line 10: no closing }"),
        ("{0 1}, {2}\n", "d.arff, field 'wing span': line 10: found '1}'"),
        ("{5 1}\n", "d.arff: line 10: index 5; accepted: 0 to 4"),
        ("{0 1, 0 2}\n", "d.arff, field 'wing span': line 10: twice in one row"),
        ("{0}\n", "d.arff: line 10: found '0'; accepted: index and value"),
        ("{-1 2}\n", "d.arff: line 10: found '-1 2'; accepted: index and value"),
    ],
)
def test_a_bad_row_is_one_line_with_file_line_and_attribute(tmp_path, body, message):
    assert error_of(tmp_path, body).startswith(message)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("@relation x\n@attribute a numeric\n", "d.arff: no @data"),
        ("@relation x\n@data\n", "d.arff: no @attribute"),
        ("@attribute a numeric\n@attribute a real\n@data\n", "d.arff, field 'a': line 2: two attributes of this name"),
        ("@attribute a date 'yyyy'\n@data\n", "d.arff, field 'a': line 1: of the type \"date 'yyyy'\""),
        ("@attribute a\n@data\n", "d.arff, field 'a': line 1: of the type (none)"),
        ("@attribute a {x,y\n@data\n", "d.arff, field 'a': line 1: its values have no closing }"),
        ("@attribute a {x,x}\n@data\n", "d.arff, field 'a': line 1: a value twice"),
        ("@attribute 'a numeric\n@data\n", "d.arff: line 1: no closing '"),
        ("hello\n@data\n", "d.arff: line 1: found 'hello' in the header"),
        ("1,2,3\n", "d.arff: line 1: found '1,2,3' in the header"),
    ],
)
def test_a_bad_header_is_one_line_with_file_and_line(tmp_path, header, message):
    assert error_of(tmp_path, "", header).startswith(message)


def test_a_file_that_is_not_there_or_no_text_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        ArffFile(tmp_path / "none.arff")
    (tmp_path / "d.arff").write_bytes(b"@relation caf\xe9\n")
    with pytest.raises(UserError, match="row 1: not UTF-8: byte 0xe9"):
        ArffFile(tmp_path / "d.arff")


# -- labels


def xml(tmp_path, body: str):
    path = tmp_path / "d.xml"
    path.write_text(body, encoding="utf-8")
    return path


LABELS = (
    "@relation x\n@attribute a {0,1}\n@attribute f numeric\n@attribute b {0,1}\n@attribute c numeric\n@data\n1,2,0,1\n"
)


def test_labels_stand_anywhere_and_a_hierarchy_is_flattened(tmp_path):
    names = (
        '<?xml version="1.0" encoding="utf-8"?>\n<labels xmlns="http://mulan.sourceforge.net/labels">'
        '<label name="c"><label name="a"></label></label><label name=" b "/></labels>'
    )
    path = xml(tmp_path, names)
    assert read_label_names(path) == ["c", "a", "b"]
    assert label_attributes(arff(tmp_path, "", LABELS), path) == [3, 0, 2]


@pytest.mark.parametrize(("option", "expected"), [("-C 1", [0]), ("-c -2", [2, 3])])
def test_without_xml_the_relation_says_which_attributes_are_labels(tmp_path, option, expected):
    file = arff(tmp_path, "", LABELS.replace("@relation x", f"@relation 'x: {option}'"))
    assert label_attributes(file, None) == expected


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<labels><label name='a'/>", "d.xml: can't be read (not XML: no element found"),
        ("<labels/>", "d.xml: no label; accepted"),
        ("<names><label name='a'/></names>", "d.xml: an element <names>"),
        ("<labels><tag name='a'/></labels>", "d.xml: an element <tag>; accepted: <label> inside <labels>"),
        ("<labels><label/></labels>", "d.xml: a label without a name"),
        ("<labels><label name='a'/><label name='a'/></labels>", "d.xml: the label 'a' stands there twice"),
        ("<labels><label name='z'/></labels>", "d.xml: the label 'z' is no attribute of d.arff"),
    ],
)
def test_a_bad_file_of_labels_is_one_line(tmp_path, body, message):
    with pytest.raises(UserError) as caught:
        label_attributes(arff(tmp_path, "", LABELS), xml(tmp_path, body))
    assert str(caught.value).replace(f"{tmp_path}/", "").startswith(message)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (LABELS, "field 'xml': nothing says which attributes are labels"),
        (LABELS.replace("@relation x", "@relation 'x -C 9'"), "field 'xml': nothing says which"),
        (LABELS.replace("@relation x", "@relation 'x -C 4'"), "every attribute is a label"),
        (
            LABELS.replace("@relation x", "@relation 'x -C 1'").replace("a {0,1}", "a {no,yes}"),
            "field 'a': the label is",
        ),
    ],
)
def test_labels_that_cannot_be_found_are_one_line(tmp_path, header, message):
    with pytest.raises(UserError, match=message):
        label_attributes(arff(tmp_path, "", header), None)
