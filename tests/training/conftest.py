"""A small corpus of synthetic notes."""

from __future__ import annotations

import pytest

from hf_mlc.data.demo_notes import write_demo_corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A folder of train, validation and test files: 60, 20 and 20 notes."""
    folder = tmp_path_factory.mktemp("corpus")
    write_demo_corpus(folder, num_train=60, num_validation=20, num_test=20)
    (folder / "label_descriptions.json").unlink()
    return folder
