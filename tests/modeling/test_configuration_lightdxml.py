"""What LightDXML's configuration derives and refuses."""

from __future__ import annotations

import pytest
from huggingface_hub.errors import StrictDataclassError
from transformers import BertConfig

from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig


def test_its_loss_is_a_sum_over_a_documents_labels_and_a_file_says_otherwise(tmp_path):
    assert LightDxmlConfig().loss_reduction == "sum"
    LightDxmlConfig(loss_reduction="mean").save_pretrained(tmp_path)
    assert LightDxmlConfig.from_pretrained(tmp_path).loss_reduction == "mean"


def test_a_backbone_says_how_wide_a_document_is():
    config = LightDxmlConfig(text_config=BertConfig(hidden_size=24, num_attention_heads=2, vocab_size=70))
    assert (config.encoder, config.embed_dim, config.hidden_size, config.vocab_size) == ("transformer", 24, 24, 70)
    small = LightDxmlConfig(encoder="transformer", embed_dim=12)
    assert small.text_config.hidden_size == 12


@pytest.mark.parametrize(("encoder", "kind"), [("tfidf", "text"), ("transformer", "text"), ("features", "features")])
def test_what_it_reads_hangs_on_its_encoder(encoder, kind):
    assert LightDxmlConfig(encoder=encoder).input_kind == kind


def test_large_tables_get_sparse_gradients_unless_told_otherwise():
    config = LightDxmlConfig(vocab_size=100_001, num_labels=3)
    assert (config.sparse_tokens, config.sparse_labels) == (True, False)
    assert not LightDxmlConfig(vocab_size=100_001, sparse_gradients=False).sparse_tokens
    config = LightDxmlConfig(sparse_gradients=True)
    assert config.sparse_tokens and config.sparse_labels


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embed_dim": 0}, "`embed_dim` must be 1 or more, found 0"),
        ({"shortlist_size": 0}, "`shortlist_size` must be 1 or more, found 0"),
        ({"max_positives": 0}, "`max_positives` must be 1 or more, found 0"),
        ({"cycle_epochs": 0}, "`cycle_epochs` must be 1 or more, found 0"),
        ({"block_size": 0}, "`block_size` must be 1 or more, found 0"),
        ({"hnsw_m": 1}, "`hnsw_m` must be 2 or more, found 1"),
        ({"hnsw_threads": 0}, "`hnsw_threads` must be 1 or more, found 0"),
        ({"proxy_epochs": -1}, "`proxy_epochs` must not be negative, found -1"),
        ({"proxy_learning_rate": 0.0}, "`proxy_learning_rate` must be positive, found 0.0"),
        ({"beta": 1.5}, r"`beta` must be in \[0, 1\], found 1.5"),
        ({"residual_dropout": 1.0}, r"`residual_dropout` must be in \[0, 1\), found 1.0"),
        ({"encoder": "transformer", "embed_dim": 10}, "multiple of `num_attention_heads`, found 10 and 4"),
        ({"encoder": "gru"}, "encoder"),
        ({"table_dtype": "int4"}, "table_dtype"),
        ({"embedding_activation": "gelu"}, "embedding_activation"),
        ({"sparse_gradients": "yes"}, "sparse_gradients"),
    ],
)
def test_what_makes_no_model_is_refused(settings, message):
    with pytest.raises(StrictDataclassError, match=message):
        LightDxmlConfig(**settings)
