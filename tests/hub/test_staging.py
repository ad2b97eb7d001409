"""What of a model folder is published: an allow-list, proven with a folder full of things that must not leave."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import hf_mlc.modeling
from hf_mlc.cards import facts
from hf_mlc.cards.words import CARD_FILE
from hf_mlc.commands.publish import main as publish
from hf_mlc.commands.running import run
from hf_mlc.commands.train import main as train
from hf_mlc.data import train_tokenizer
from hf_mlc.errors import UserError
from hf_mlc.folder_files import METRICS_FILE, RESULTS_FILE
from hf_mlc.inference import load_model
from hf_mlc.publishing import stage_loaded, stage_model, staging_folder
from hf_mlc.publishing.contents import CARD_SOURCES, published_words
from hf_mlc.run_facts import weights_fingerprint
from tests.common.small_msdn import save_table_model
from tests.hub.publisher import train_words
from tests.spaces.small_model import write_small_model


CODE = Path(hf_mlc.modeling.__file__).parent
ALWAYS = {"README.md", "config.json", "model.safetensors", "results.json", "tokenizer.json", "tokenizer_config.json"}
PLOTS = {"f1_by_frequency.png", "precision_recall.png"}
# a token's form, in two pieces so that no scanner takes it for one
TOKEN = "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZ01234567"


@pytest.fixture
def model(demo_model, tmp_path) -> Path:
    """A copy that a test may spoil."""
    return shutil.copytree(demo_model, tmp_path / "model")


def stage(folder: Path, tmp_path: Path, name: str = "staged", **arguments) -> dict[str, bytes]:
    """The staged files."""
    staged = tmp_path / name
    staged.mkdir()
    stage_model(folder, staged, **{"run_snippet": False, **arguments})
    assert all(path.is_file() for path in staged.iterdir())
    return {path.name: path.read_bytes() for path in staged.iterdir()}


def edit_json(file: Path, **changes) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(content | changes), encoding="utf-8")


def test_staged_are_weights_config_tokenizer_code_results_and_card(model, tmp_path):
    files = stage(model, tmp_path)
    code = {name for name in files if name.endswith(".py")}
    assert set(files) - code - PLOTS == ALWAYS
    assert {"configuration_plant.py", "modeling_plant.py", "multi_label.py", "pipeline_multi_label.py"} <= code
    assert all(files[name] == (CODE / name).read_bytes() for name in code)
    assert files["model.safetensors"] == (model / "model.safetensors").read_bytes()
    assert files["results.json"] == (model / "results.json").read_bytes()
    config = json.loads(files["config.json"])
    assert config["thresholds"] == json.loads((model / "config.json").read_text())["thresholds"]
    assert config["label_space"]["num_documents"] == 120


def test_a_model_of_label_sequences_is_published_with_what_generate_does(demo_corpus, tmp_path):
    folder = tmp_path / "sgm"
    words = train_words(demo_corpus, folder, "--model_type", "sgm", "--embedding_size", "8", "--decoder_size", "16")
    assert run(train, [*words, "--num_train_epochs", "1"]) == 0
    files = stage(folder, tmp_path)
    code = {name for name in files if name.endswith(".py")}
    assert set(files) - code - PLOTS == ALWAYS | {"generation_config.json"}
    assert json.loads(files["generation_config.json"])["decoder_start_token_id"] == 1
    assert {"modeling_sgm.py", "sgm_decoder.py", "sgm_search.py", "label_constraints.py"} <= code
    assert {"sgm_losses.py", "sgm_answers.py", "sgm_generation.py", "sgm_evidence.py"} <= code  # mixed in


def test_a_model_of_tables_is_published_with_its_feature_extractor_and_its_code(tmp_path):
    folder = save_table_model(tmp_path / "model")
    extractor = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    # names and categories that look like paths are left as they are
    extractor["feature_names"][0], extractor["categories"] = "/data/age", {"colour": ["/m/07j87", "red"]}
    edit_json(folder / "preprocessor_config.json", **extractor)
    files = stage(folder, tmp_path)
    assert {"processing_table.py", "modeling_msdn.py", "pipeline_multi_label_tables.py", "table_encoder.py"} <= set(
        files
    )
    assert json.loads(files["preprocessor_config.json"]) == extractor
    assert "label_relations.png" in files and "label_relations.json" not in files


def test_all_that_a_card_is_made_of_is_there_when_the_published_one_is_written():
    own = {value for name, value in vars(facts).items() if name.isupper() and str(value).endswith(".json")}
    assert own - {RESULTS_FILE, METRICS_FILE} == set(CARD_SOURCES) - {CARD_FILE} and len(own) > 5


def test_a_dry_run_says_how_many_values_of_training_rows_go_out(tmp_path, capsys):
    folder = save_table_model(tmp_path / "model")
    extractor = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    numbers = {name: len(values) for name, values in extractor["categories"].items()}
    words = ["--model", str(folder), "--repo_id", "org/dry", "--dry_run", "--run_snippet", "false"]
    assert run(publish, [*words, "--output", str(tmp_path / "look")]) == 0
    said = ", ".join(f"{name}: {number}" for name, number in numbers.items())
    total = sum(numbers.values())
    line = f"preprocessor_config.json holds {total} values of training rows, word for word ({said})"
    assert total and line in capsys.readouterr().err.splitlines()


def test_a_dry_run_says_how_many_words_of_training_rows_go_out(tmp_path, capsys):
    folder = write_small_model(tmp_path / "model", card=None)
    words = ["--model", str(folder), "--repo_id", "org/dry", "--dry_run", "--run_snippet", "false"]
    assert run(publish, [*words, "--output", str(tmp_path / "look")]) == 0
    # 12 words of labels; with known a of the light and script x; < > { } $ . ,
    assert "tokenizer.json holds 28 words of the rows that it was trained on" in capsys.readouterr().err.splitlines()


def test_words_are_told_of_tokenizers_that_were_trained_and_of_no_others(tmp_path):
    texts = ["net profit rose", "net profit fell"]
    trained = train_tokenizer(texts, kind="bpe", vocab_size=264, min_frequency=2)
    trained.save_pretrained(tmp_path)
    # 264 less five special tokens and 256 bytes
    assert (
        published_words(tmp_path)
        == "tokenizer.json holds 3 words and parts of words of the rows that it was trained on"
    )
    train_tokenizer(texts, kind="letters", min_frequency=2).save_pretrained(tmp_path)
    assert published_words(tmp_path) == "tokenizer.json holds 2 words of the rows that it was trained on"
    edited = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    edited["model"]["vocab"] |= {"[PAD]": 1, "[UNK]": 0}
    edit_json(tmp_path / "tokenizer.json", **edited)  # somebody else's special tokens
    assert published_words(tmp_path) is None
    (tmp_path / "tokenizer.json").unlink()
    assert published_words(tmp_path) is None


@pytest.mark.parametrize("name", ["secret", "password", "api_key", "db_password"])
def test_a_feature_that_is_called_like_a_secret_is_published_with_its_categories(tmp_path, name):
    folder = save_table_model(tmp_path / "model")
    extractor = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    extractor["feature_names"][2], extractor["categories"] = name, {name: ["blue", "red"]}
    edit_json(folder / "preprocessor_config.json", **extractor)
    assert json.loads(stage(folder, tmp_path)["preprocessor_config.json"]) == extractor
    edit_json(folder / "preprocessor_config.json", categories={name: ["blue", TOKEN]})
    with pytest.raises(UserError, match="holds an access token"):
        stage(folder, tmp_path, "again")
    edit_json(folder / "preprocessor_config.json", **extractor)
    edit_json(folder / "config.json", **{f"wandb_{name}": ["anything"]})
    with pytest.raises(UserError, match="holds an access token"):  # of no feature
        stage(folder, tmp_path, "once more")


def test_what_must_not_leave_the_machine_does_not(model, tmp_path):
    clean = stage(model, tmp_path, "clean")
    secret = "patient Alice in /home/alice/ward"
    planted = [
        "optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "trainer_state.json", "run.json",
        "pytorch_model.bin", "model.pkl", "model.ckpt", "other.safetensors", "train.jsonl", "notes.csv", "rows.parquet", ".env",
        ".git/config", "checkpoint-3/model.safetensors", "checkpoint-3/optimizer.pt", "data/test.jsonl", "runs/events",
        "mine.py", "answers.json", "picture.png", "results.json.bak", "baseline.json~", ".README.md.17", "last.log",
    ]  # fmt: skip
    for name in planted:
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_text(secret)
    (model / "modeling_plant.py").write_text(f"# {secret}\n" + (model / "modeling_plant.py").read_text())
    edit_json(model / "config.json", _name_or_path="/home/alice/ward/model", note="see /home/alice/ward/notes.txt")
    edit_json(model / "tokenizer_config.json", name_or_path="/home/alice/ward/model", source="C:\\alice\\v.txt")
    results = json.loads((model / "results.json").read_text())
    results["recipe"] |= {"train_file": "/home/alice/ward/train.jsonl", "cache": ["~/alice/x", "../alice/y"]}
    results["command"] = "train.py --dataset_name /home/alice/ward/data --seed 1"
    (model / "results.json").write_text(json.dumps(results))

    files = stage(model, tmp_path)
    assert set(files) == set(clean)
    assert [name for name, content in files.items() if b"alice" in content.lower()] == []
    staged = json.loads(files["results.json"])
    assert staged["recipe"]["train_file"] == "train.jsonl"
    assert staged["recipe"]["cache"] == ["x", "y"]
    assert staged["command"] == "train.py --dataset_name data --seed 1"
    assert staged["validation"] == results["validation"]
    assert {name for name in files if files[name] != clean[name]} == {
        "config.json", "tokenizer_config.json", "results.json", "README.md",
    }  # fmt: skip


def test_label_names_that_look_like_paths_are_left_as_they_are(model, tmp_path):
    config = json.loads((model / "config.json").read_text())
    first = config["id2label"]["0"]
    config["id2label"]["0"] = "/m/07j87/x"
    config["label2id"] = {name: number for number, name in enumerate(config["id2label"].values())}
    (model / "config.json").write_text(json.dumps(config))
    edit_json(model / "results.json", hardest=["/m/07j87/x", "/home/alice/x"])
    files = stage(model, tmp_path)
    staged = json.loads(files["config.json"])
    assert first != "/m/07j87/x" and staged["id2label"]["0"] == "/m/07j87/x" and staged["label2id"]["/m/07j87/x"] == 0
    assert json.loads(files["results.json"])["hardest"] == ["/m/07j87/x", "x"]


@pytest.mark.parametrize("place", ["results.json", "config.json", "README.md", "api_key"])
def test_an_access_token_is_refused(model, tmp_path, place):
    if place == "README.md":
        (model / place).write_text(f"# Mine\n\nlog in with {TOKEN}\n")
    elif place == "api_key":
        edit_json(model / "results.json", recipe={"wandb_api_key": "anything"})
    else:
        edit_json(model / place, note={"deep": [f"token={TOKEN}"]})
    with pytest.raises(UserError, match="holds an access token or a password") as error:
        stage(model, tmp_path)
    assert TOKEN not in str(error.value)


def test_metrics_and_words_for_the_card_come_from_the_card_folder(model, tmp_path):
    cards = tmp_path / "cards"
    cards.mkdir()
    metrics = {"split": "test", "metrics": {"f1_micro": 0.125}, "documents": 40}
    (model / "card.yaml").write_text("summary: The folder's own.\n")
    assert "The folder's own." in stage(model, tmp_path, "first")["README.md"].decode()
    (cards / "metrics.json").write_text(json.dumps(metrics))
    (cards / "card.yaml").write_text("summary: In short.\n")
    files = stage(model, tmp_path, card_folder=cards)
    assert json.loads(files["metrics.json"]) == metrics
    card = files["README.md"].decode()
    assert "In short." in card and "0.125" in card
    assert "card.yaml" not in files


def test_metrics_of_an_earlier_training_are_not_published(model, tmp_path):
    metrics = {"split": "test", "metrics": {"f1_micro": 0.98765}, "documents": 40, "weights": "sha256:1"}
    (model / "metrics.json").write_text(json.dumps(metrics))
    files = stage(model, tmp_path)
    assert "metrics.json" not in files and "0.988" not in files["README.md"].decode()


def decided(model: Path, **changes) -> dict:
    """metrics.json of the model's own weights and decision rule."""
    config = json.loads((model / "config.json").read_text())
    decision = {"thresholds": config["thresholds"], "min_labels": config["min_labels"], "tuned": True} | changes
    measured = {"split": "test", "metrics": {"f1_micro": 0.98765}, "documents": 40, "decision": decision}
    return measured | {"weights": weights_fingerprint(str(model))}


def test_metrics_of_another_decision_rule_are_not_published(model, tmp_path):
    (model / "metrics.json").write_text(json.dumps(decided(model)))
    files = stage(model, tmp_path, "as measured")
    assert "metrics.json" in files and "0.988" in files["README.md"].decode()
    assert "; tuned for `f1_micro` on 40 validation documents" in files["README.md"].decode()

    loaded = load_model(str(model), device="cpu")
    loaded.model.config.thresholds = 0.999
    (tmp_path / "in memory").mkdir()
    stage_loaded(loaded.model, loaded.tokenizer, tmp_path / "in memory", folder=model, run_snippet=False)
    staged = [{path.name: path.read_bytes() for path in (tmp_path / "in memory").iterdir()}]
    for number, edited in enumerate(({"thresholds": 0.999}, {"min_labels": 3})):
        copy = shutil.copytree(model, tmp_path / f"copy{number}")
        edit_json(copy / "config.json", **edited)
        staged.append(stage(copy, tmp_path, f"edited{number}"))
    for files in staged:
        card = files["README.md"].decode()
        assert "metrics.json" not in files and "results.json" in files
        assert "model-index" not in card and "Measured on" not in card  # nor what training measured
        assert "tuned for" not in card and "threshold_tuned_on" not in card


def test_a_threshold_that_evaluate_was_given_by_hand_is_none_of_the_models(model, tmp_path):
    (model / "metrics.json").write_text(json.dumps(decided(model, thresholds=0.25, tuned=False)))
    files = stage(model, tmp_path)
    assert "metrics.json" in files and "a threshold given by hand, not the tuned one" in files["README.md"].decode()


def test_special_tokens_that_look_like_paths_are_left_as_they_are(model, tmp_path):
    loaded = load_model(str(model), device="cpu")
    loaded.tokenizer.add_special_tokens({"extra_special_tokens": ["/patient", "//"]})
    loaded.model.resize_token_embeddings(len(loaded.tokenizer))
    loaded.tokenizer.init_kwargs["note"] = "/home/alice/words"
    for folder in (model, tmp_path / "in memory"):
        folder.mkdir(exist_ok=True)
    loaded.model.save_pretrained(model)
    loaded.tokenizer.save_pretrained(model)
    stage_loaded(loaded.model, loaded.tokenizer, tmp_path / "in memory", run_snippet=False)
    files = stage(model, tmp_path)
    for content in (files["tokenizer_config.json"], (tmp_path / "in memory/tokenizer_config.json").read_bytes()):
        staged = json.loads(content)
        assert staged["extra_special_tokens"] == ["/patient", "//"]
        assert staged["note"] == "words"


def test_words_written_beside_the_recipe_are_published(model, tmp_path):
    cards = tmp_path / "cards"
    cards.mkdir()
    (cards / "README.md").write_text("---\nlicense: mit\n---\n# Mine\n\nBeside the recipe.\n")
    (model / "README.md").write_text("# Mine\n\nIn the folder.\n")
    card = stage(model, tmp_path, card_folder=cards)["README.md"].decode()
    assert "Beside the recipe." in card and "license: mit" in card and "<!-- hf_mlc: begin -->" in card
    assert "In the folder." not in card


def test_the_users_readme_is_kept_around_the_generated_facts(model, tmp_path):
    (model / "README.md").write_text("---\nlicense: mit\n---\n# Mine\n\nMy words.\n")
    card = stage(model, tmp_path)["README.md"].decode()
    assert "license: mit" in card and "My words." in card and "<!-- hf_mlc: begin -->" in card


def test_weights_in_parts_are_published_in_the_same_parts(model, tmp_path):
    loaded = load_model(str(model), device="cpu")
    (model / "model.safetensors").unlink()
    loaded.model.save_pretrained(model, max_shard_size="20KB")
    parts = {path.name: path.read_bytes() for path in model.glob("model*.safetensors*")}
    assert len(parts) > 2
    files = stage(model, tmp_path)
    assert {name: content for name, content in files.items() if name.startswith("model.") or "-of-" in name} == parts


def test_an_index_that_leads_out_of_the_folder_is_refused(model, tmp_path):
    loaded = load_model(str(model), device="cpu")
    (model / "model.safetensors").rename(tmp_path / "elsewhere.safetensors")
    weight_map = dict.fromkeys(loaded.model.state_dict(), "../elsewhere.safetensors")
    (model / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    with pytest.raises(UserError, match=r"names '\.\./elsewhere\.safetensors'"):
        stage(model, tmp_path)


def test_names_in_a_file_of_their_own_go_along(model, tmp_path):
    loaded = load_model(str(model), device="cpu")
    loaded.model.config.label_space_file = "labels.json"
    loaded.model.save_pretrained(model)
    files = stage(model, tmp_path)
    assert json.loads(files["labels.json"])["names"] == list(loaded.label_space.names)


def test_a_folder_that_is_no_whole_model_is_refused(model, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        stage(tmp_path / "nowhere", tmp_path, "a")
    tensors = load_file(model / "model.safetensors")
    save_file({**tensors, "decoder.bias": tensors["decoder.bias"][:-1].clone()}, model / "model.safetensors")
    with pytest.raises(UserError, match="other shapes than config"):
        stage(model, tmp_path, "b")
    tensors.pop("decoder.bias")
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"decoder\.bias is not among them"):
        stage(model, tmp_path, "c")


def test_results_that_are_cut_short_are_refused(model, tmp_path):
    (model / "results.json").write_text('{"seed": ')
    with pytest.raises(UserError, match=r"results\.json: no JSON"):
        stage(model, tmp_path)


def test_an_output_appears_whole_or_not_at_all(tmp_path):
    output = tmp_path / "output"
    with pytest.raises(RuntimeError), staging_folder(output) as staged:
        (staged / "half").write_text("")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    output.mkdir()
    with staging_folder(output) as staged:
        (staged / "whole").write_text("")
    assert [path.name for path in output.iterdir()] == ["whole"]
    assert [path.name for path in tmp_path.iterdir()] == ["output"]


def test_of_a_model_in_memory_results_go_along_while_the_weights_are_those_of_the_folder(model, tmp_path):
    loaded = load_model(str(model), device="cpu")
    for name in ("same", "other"):
        (tmp_path / name).mkdir()
    stage_loaded(loaded.model, loaded.tokenizer, tmp_path / "same", folder=model, run_snippet=False)
    assert (tmp_path / "same/results.json").read_bytes() == (model / "results.json").read_bytes()
    loaded.model.decoder.bias.data += 1
    stage_loaded(loaded.model, loaded.tokenizer, tmp_path / "other", folder=model, run_snippet=False)
    staged = {path.name for path in (tmp_path / "other").iterdir()}
    assert "results.json" not in staged
    assert ALWAYS - {"results.json"} <= staged
