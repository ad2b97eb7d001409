"""What an SGM reads with: a pretrained backbone's weights, its attention, images."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModel, BertConfig, set_seed

from hf_mlc.modeling.text_encoder import load_pretrained_encoder
from tests.common.sgm_tester import SgmModelTester

from .model_tester import build, check_eager_and_fused_attention


def test_a_pretrained_backbone_gives_its_weights_to_the_encoder(tmp_path):
    from transformers import BertModel

    set_seed(1)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 37}
    bert = BertModel(BertConfig(vocab_size=40, max_position_embeddings=64, **sizes)).eval()
    bert.save_pretrained(tmp_path)
    tester = SgmModelTester(encoder="transformer")
    model = build(tester, text_config=BertConfig.from_pretrained(tmp_path))
    load_pretrained_encoder(model.encoder, str(tmp_path))
    batch = tester.collate(tester.documents())
    with torch.no_grad():
        expected = bert(**batch).last_hidden_state
        found = model(**batch, output_hidden_states=True).hidden_states[-1]
    text = batch["attention_mask"].bool()
    torch.testing.assert_close(found[text], expected[text])


def test_eager_and_fused_attention_of_the_backbone_agree():
    check_eager_and_fused_attention(SgmModelTester(encoder="transformer"), atol=1e-4, rtol=1e-4)


# -- images ---------------------------------------------------------------------------------------------------------------

VIT = {
    "model_type": "vit",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 37,
}
VISION = (
    {},
    {"vision_config": {**VIT, "image_size": 16, "patch_size": 8}},
    {"vision_config": {"model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}},
    {"backbone_config": {**VIT, "model_type": "vitdet", "image_size": 16, "patch_size": 8, "out_features": ["stage1"]}},
    {"backbone_config": {"model_type": "convnext", "hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "out_features": ["stage2"]}},
)  # fmt: skip


OTHER_WIDTHS = {
    "mobilevit": {"hidden_sizes": [8, 12, 16], "neck_hidden_sizes": [4, 4, 8, 8, 12, 16, 24]},  # the neck's
    # the width of its states, whatever the necks of its heads
    "dpt": {**VIT, "patch_size": 8, "neck_hidden_sizes": [4, 4, 8, 8], "backbone_out_indices": [0, 0, 0, 0]},
    "hiera": {
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [1, 1],
        "num_query_pool": 1,
        "image_size": [32, 32],
        "masked_unit_size": [4, 4],
    },
}


@pytest.mark.parametrize("model_type", OTHER_WIDTHS)
def test_states_of_another_width_than_the_stages_are_read(model_type):
    """And a `mask_ratio` that only pretraining goes by is nothing to refuse."""
    settings = {"model_type": model_type, "image_size": 32, **OTHER_WIDTHS[model_type]}
    model = build(SgmModelTester(encoder="image"), vision_config=settings)
    with torch.no_grad():
        logits = model(pixel_values=torch.randn(2, 3, 32, 32)).logits
    assert logits.shape == (2, 5) and torch.isfinite(logits).all()


@pytest.mark.parametrize("settings", VISION, ids=["default", "vit", "resnet", "vitdet", "convnext"])
def test_images_are_read_by_any_backbone_or_vision_model(settings, tmp_path):
    tester = SgmModelTester(encoder="image")
    model = build(tester, **settings)
    pixels = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[1, 0, 1, 0, 0], [0, 0, 0, 0, 1], [0, 1, 0, 0, 0]])
    with torch.no_grad():
        logits = model(pixel_values=pixels).logits
        alone = torch.cat([model(pixel_values=pixels[row : row + 1]).logits for row in range(3)])
    torch.testing.assert_close(logits, alone, atol=1e-4, rtol=1e-4)
    assert model.generate(pixel_values=pixels).shape[0] == 3
    model.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    state = loaded.state_dict()
    assert all(torch.equal(state[name], weight) for name, weight in model.state_dict().items())
    with (
        torch.no_grad()
    ):  # weights in a mapped file lie at other addresses, and some processors then add in another order
        torch.testing.assert_close(loaded(pixel_values=pixels).logits, logits, atol=1e-5, rtol=1e-5)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = model(pixel_values=pixels, labels=targets).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    with pytest.raises(ValueError, match="give `pixel_values`"):
        model(input_ids=torch.ones(1, 2, dtype=torch.long))
