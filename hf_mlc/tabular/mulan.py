"""Which attributes of an ARFF file are labels: Mulan's XML file of their names, or MEKA's option in the relation's name."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from hf_mlc.errors import UserError
from hf_mlc.tabular.arff import ArffFile


_MEKA = re.compile(r"-[cC]\s+(-?\d+)")


def read_label_names(file: str | Path) -> list[str]:
    """The names in an XML file of labels, in its order; labels inside labels (a hierarchy) follow their parents.

    Raises:
        `UserError`: no such file, no XML, an element that is no label, a label without a name or named twice.
    """
    try:
        root = ElementTree.parse(file).getroot()
    except (OSError, ElementTree.ParseError) as error:
        reason = getattr(error, "strerror", None) or f"not XML: {error}"
        raise UserError(
            f"can't be read ({reason})", file=file, accepted='<labels><label name="..."/></labels>'
        ) from None
    names = []
    for element in root.iter():
        tag = str(element.tag).rpartition("}")[2]  # without the namespace
        if element is root:
            if tag != "labels":
                raise UserError(f"an element <{tag}>", file=file, accepted="<labels> around all labels")
            continue
        if tag != "label":
            raise UserError(f"an element <{tag}>", file=file, accepted="<label> inside <labels>")
        name = element.get("name", "").strip()
        if not name:
            raise UserError("a label without a name", file=file, accepted='<label name="..."/>')
        if name in names:
            raise UserError(f"the label '{name}' stands there twice", file=file, accepted="each label once")
        names.append(name)
    if not names:
        raise UserError("no label", file=file, accepted='<labels><label name="..."/></labels>')
    return names


def label_attributes(arff: ArffFile, xml: str | Path | None) -> list[int]:
    """Positions of the attributes that are labels, in the order of the XML file; without one, as MEKA's `-C` says: the first
    so many attributes, or with a negative number the last.

    Raises:
        `UserError`: a label that is no attribute, one that isn't nominal or numeric; neither XML nor `-C`; no feature left.
    """
    if xml is not None:
        position_of = {attribute.name: position for position, attribute in enumerate(arff.attributes)}
        names = read_label_names(xml)
        for name in names:
            if name not in position_of:
                raise UserError(
                    f"the label '{name}' is no attribute of {arff.path.name}", file=xml, accepted="names of attributes"
                )
        positions = [position_of[name] for name in names]
    else:
        found = _MEKA.search(arff.relation)
        number = int(found[1]) if found else 0
        if not 0 < abs(number) <= len(arff.attributes):
            raise UserError(
                "nothing says which attributes are labels",
                file=arff.path,
                field="xml",
                accepted="the XML file of their names, or -C NUMBER in the relation's name",
            )
        positions = list(range(len(arff.attributes)))
        positions = positions[:number] if number > 0 else positions[number:]
    for position in positions:
        attribute = arff.attributes[position]
        if attribute.kind == "string" or not set(attribute.values) <= {"0", "1"}:
            raise UserError(
                f"the label is of the type {attribute.kind} {', '.join(attribute.values[:4])}".rstrip(),
                file=arff.path,
                field=attribute.name,
                accepted="{0,1}, or numeric",
            )
    if len(positions) == len(arff.attributes):
        raise UserError("every attribute is a label", file=arff.path, accepted="one feature or more")
    return positions
