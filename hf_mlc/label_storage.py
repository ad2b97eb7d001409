"""The label space inside a model's configuration, where it travels with the weights."""

from __future__ import annotations

from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_multi_label import MAX_LABELS_IN_CONFIG, MultiLabelConfig


def store_label_space(config: MultiLabelConfig, label_space: LabelSpace) -> None:
    """Writes names, counts, descriptions and parents into `config`.

    With more than 20,000 labels they are saved to `labels.json` beside config.json, so that config.json still opens at
    once; the configuration in memory looks the same either way. Thresholds that were tuned for other labels are dropped.
    """
    config.read_label_file()  # else what was not read yet would later take the place of what is written here
    content = label_space.to_dict()
    names = content.pop("names")
    id2label = config.id2label  # looked up once: an attribute of a configuration takes its time, a million times
    before = [id2label[number] for number in range(len(id2label))]
    of_other_labels = len(names) != len(before) or (config.label_space is not None and names != before)
    if of_other_labels and isinstance(config.thresholds, list):
        config.thresholds = 0.5
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}
    config.label_space = content
    config.label_space_file = "labels.json" if len(names) > MAX_LABELS_IN_CONFIG else None


def read_label_space(config: MultiLabelConfig) -> LabelSpace:
    """The label space that `config` holds; without one, the names of `id2label` and nothing known of training."""
    config.read_label_file()
    id2label = config.id2label  # looked up once: an attribute of a configuration takes its time, a million times
    names = [id2label[number] for number in range(len(id2label))]
    return LabelSpace.from_dict({"names": names, **(config.label_space or {})}, file=config.name_or_path or None)
