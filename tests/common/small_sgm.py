"""A small untrained model that writes label sequences, for tests of what is made of such a model."""

from __future__ import annotations

from transformers import set_seed

from hf_mlc.data import train_tokenizer
from hf_mlc.inference import LoadedModel
from hf_mlc.label_storage import store_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.modeling_sgm import SgmForMultiLabelClassification


WORDS = ["wheat", "corn", "oil", "crude", "gas", "gold", "net", "profit"]
LABELS = ["grain", "energy", "metal", "earn"]
TEXTS = ["wheat and corn, crude oil", "gold", "net profit of gas and oil", "corn corn corn wheat gold gas"]


def small_sgm(*, seed: int = 0, labels: list[str] | None = None, **settings) -> LoadedModel:
    """Random weights, large enough for attention that is not even; every document gets two labels or more.

    Args:
        seed (`int`, *optional*, defaults to 0): of the weights.
        labels (`list[str]`, *optional*): the labels' names; four of them.
        settings: of `SgmConfig`.
    """
    tokenizer = train_tokenizer([" ".join(WORDS)], min_frequency=1, max_length=16)
    labels = LABELS if labels is None else labels
    given = {"hidden_size": 8, "embedding_std": 2.0, "min_labels": min(2, len(labels)), "num_beams": 3, **settings}
    config = SgmConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        unk_token_id=tokenizer.unk_token_id,
        num_labels=len(labels),
        **given,
    )
    store_label_space(config, LabelSpace(labels, [8, 4, 2, 1], 10) if len(labels) == 4 else LabelSpace(labels))
    set_seed(seed)
    model = SgmForMultiLabelClassification(config).eval()
    model.decoder.attention.score.weight.data.mul_(8)
    return LoadedModel(model, tokenizer, LabelSpace(labels))
