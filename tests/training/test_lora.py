"""LoRA on a tiny BERT: what is trained, what is saved, what opens without peft."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, BertConfig, BertModel

from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.data import train_tokenizer
from hf_mlc.errors import UserError
from hf_mlc.inference import load_model
from hf_mlc.training.lora import LoraArguments, LoraBackbone
from tests.common.plant_tester import PlantModelTester
from tests.modeling.model_tester import build


pytest.importorskip("peft", reason="needs the extra `lora`")
TESTER = PlantModelTester(encoder="transformer")


def with_random_factors(**arguments):
    model = build(TESTER)
    lora = LoraBackbone(model, LoraArguments(lora_rank=4, **arguments))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # zero at first, so that training starts from the backbone as it is
            torch.nn.init.normal_(parameter, std=0.3)
    return model, lora


def test_the_model_starts_as_it_was_and_trains_factors_and_labels_only():
    model, batch = build(TESTER), TESTER.collate(TESTER.documents())
    with torch.no_grad():
        before = model(**batch).logits
        LoraBackbone(model, LoraArguments(lora_rank=4))
        torch.testing.assert_close(model(**batch).logits, before)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {
        name for name, _ in model.named_parameters() if "lora_" in name or not name.startswith("encoder.")
    }


def test_merged_logits_equal_those_with_the_factors_beside():
    model, lora = with_random_factors()
    plain, batch = build(TESTER), TESTER.collate(TESTER.documents())
    with torch.no_grad():
        beside = model(**batch).logits
        lora.merge()
        torch.testing.assert_close(model(**batch).logits, beside, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(beside, plain(**batch).logits, atol=1e-3)
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in plain.named_parameters()]
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_merged_model_opens_without_peft(tmp_path, monkeypatch):
    model, lora = with_random_factors()
    lora.merge()
    model.save_pretrained(tmp_path)
    monkeypatch.setitem(sys.modules, "peft", None)  # importing it is an error now
    opened, report = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    batch = TESTER.collate(TESTER.documents())
    with torch.no_grad():
        assert torch.equal(opened(**batch).logits, model(**batch).logits)
    with pytest.raises(UserError, match="peft is not installed"):
        LoraArguments(lora_rank=2)


def test_only_the_named_layers_get_factors():
    model, _ = with_random_factors(lora_targets=["query", "value"])
    assert {name.split(".lora_")[0].split(".")[-1] for name, _ in model.named_parameters() if "lora_" in name} == {
        "query",
        "value",
    }


def test_layers_that_are_not_there_and_encoders_without_backbone_are_refused():
    with pytest.raises(UserError, match="lora_targets"):
        with_random_factors(lora_targets=["q_proj"])
    with pytest.raises(UserError, match="no backbone"):
        LoraBackbone(build(PlantModelTester(encoder="gru")), LoraArguments(lora_rank=2))
    with pytest.raises(UserError, match="lora_rank"):
        LoraArguments(lora_rank=0)


# -- on the command line


@pytest.fixture(scope="module")
def backbone(corpus, tmp_path_factory):
    """The folder of a tiny BERT of 24 positions, with a tokenizer."""
    folder = tmp_path_factory.mktemp("bert")
    texts = (json.loads(line)["text"] for line in (corpus / "train.jsonl").open(encoding="utf-8"))
    tokenizer = train_tokenizer(texts, max_length=24)
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=24, **sizes)).save_pretrained(folder)
    return folder


def command(corpus, backbone, out, *more):
    quiet = ["--disable_tqdm", "true", "--report_to", "none", "--use_cpu", "true", "--max_train_samples", "40"]
    base = ["--dataset_name", str(corpus), "--output_dir", str(out), "--text_encoder", str(backbone), *quiet]
    return [*base, "--num_train_epochs", "2", "--threshold_kind", "global", *more]


def test_a_run_with_lora_resumes_and_saves_a_plain_model(corpus, backbone, tmp_path):
    out = tmp_path / "out"
    arguments = command(corpus, backbone, out, "--max_length", "24", "--lora_rank", "2", "--learning_rate", "0.01")
    assert run(train, arguments) == 0
    before = load_file(out / "model.safetensors")
    assert not [name for name in before if "lora" in name or "base_layer" in name]
    start = load_file(backbone / "model.safetensors")
    name = "encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(before[f"encoder.backbone.{name}"], start[name])
    frozen = "embeddings.word_embeddings.weight"
    assert torch.equal(before[f"encoder.backbone.{frozen}"], start[frozen])

    (out / "results.json").unlink()
    shutil.rmtree(out / "checkpoint-10")  # as if it had been killed after the first epoch
    assert run(train, arguments) == 0
    assert json.loads((out / "results.json").read_text(encoding="utf-8"))["training"]["resumed"]
    assert all(torch.equal(value, before[name]) for name, value in load_file(out / "model.safetensors").items())
    assert load_model(str(out)).model.config.encoder == "transformer"


def test_texts_longer_than_the_positions_need_chunks(corpus, backbone, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = command(corpus, backbone, out, "--max_length", "100", "--max_steps", "1")
    assert run(train, arguments) == 2
    assert "24 positions" in capsys.readouterr().err
    assert run(train, [*arguments, "--backbone_chunk_length", "30"]) == 2
    assert "at most the 24 positions" in capsys.readouterr().err
    assert run(train, [*arguments, "--backbone_chunk_length", "24", "--backbone_chunk_overlap", "8"]) == 0
    assert load_model(str(out)).model.config.backbone_chunk_overlap == 8
