"""A folder of the extreme-classification repository as a data set, with a check of what it came to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hf_mlc.data.published_counts import compared, flat
from hf_mlc.data.writing import write_data_set
from hf_mlc.xmc.reading import find_layout, read_json_documents, read_label_names, read_text_documents


# counted by the authors of xcube in the files that they use
PUBLISHED = {
    "eurlex4k": {"train": 15_449, "test": 3_865, "labels": 3_956},
    "wiki10": {"train": 14_146, "test": 6_616, "labels": 30_938},
}


def prepare_xmc(xmc_dir: str | Path, output: Path, *, name: str | None = None) -> dict[str, Any]:
    """Writes the train and test rows of a folder, in either layout, to `output/NAME`, and returns the report.

    Args:
        xmc_dir (`str` or `Path`): see [`hf_mlc.xmc.reading`].
        output (`Path`): a folder that is there.
        name (`str`, *optional*): `eurlex4k` or `wiki10`, to compare with the published counts; else `data`.
    """
    layout = find_layout(xmc_dir)
    if layout.kind == "json":
        names, facts = read_label_names(layout.label_names)
        rows = {split: read_json_documents(file, names) for split, file in layout.documents.items()}
    else:
        names, facts = None, {}
        rows = {split: read_text_documents(file, layout.label_sets[split]) for split, file in layout.documents.items()}
    written = write_data_set(output / (name or "data"), rows, label_names=names)
    files = [*layout.documents.values(), *layout.label_sets.values(), *filter(None, [layout.label_names])]
    return {
        "layout": layout.kind,
        "files": [file.name for file in files],
        "data_sets": {name or "data": {**written, **facts}},
        "comparison": compared(name or "data", PUBLISHED.get(name, {}), flat(written)),
    }
