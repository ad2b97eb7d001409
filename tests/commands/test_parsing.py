"""How arguments are read: spellings, types, recipes, what is recorded as given, what --help lists."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from hf_mlc.commands.parsing import parse_arguments
from hf_mlc.commands.recipes import read_recipe
from hf_mlc.commands.running import check_output_file, check_output_folder
from hf_mlc.errors import UserError
from hf_mlc.files import written_whole
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.training.arguments import MultiLabelTrainingArguments


@dataclass
class Arguments:
    dataset_name: str | None = field(default=None, metadata={"help": "Where the rows are."})
    learning_rate: float = 1e-3
    ranking_ks: list[int] = field(default_factory=lambda: [1, 3])
    labels_separator: str | None = None
    load_best_model_at_end: bool = True
    seed: int = 0


def parsed(*words: str):
    (filled,), extra, given = parse_arguments(Arguments, words, config_classes=[PlantConfig])
    return filled, extra, given


def test_hyphens_and_no_are_recorded_under_the_arguments_name():
    filled, extra, given = parsed("--learning-rate", "0.5", "--no_load_best_model_at_end", "--hidden-size=32")
    assert (filled.learning_rate, filled.load_best_model_at_end) == (0.5, False)
    assert extra == {"hidden_size": 32}
    assert given == {"learning_rate": 0.5, "load_best_model_at_end": False, "hidden_size": 32}
    assert parsed("--no-load-best-model-at-end")[2] == {"load_best_model_at_end": False}
    assert parsed("--seed=3")[2] == {"seed": 3}
    assert parsed()[1:] == ({}, {})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--embedding_std", "1e-2"], {"embedding_std": 0.01}),
        (["--embedding_std", "1"], {"embedding_std": 1}),
        (["--use_pos_weight"], {"use_pos_weight": True}),
        (["--use-pos-weight", "no"], {"use_pos_weight": False}),
        (["--thresholds", "0.3"], {"thresholds": 0.3}),
        (["--thresholds", "[1e-2, 0.5]"], {"thresholds": [0.01, 0.5]}),
        (["--embedding_size", "none"], {"embedding_size": None}),
        (["--encoder", "gru"], {"encoder": "gru"}),
        (["--text_config", '{"model_type": "bert", "hidden_size": 8}'], {"text_config": {"model_type": "bert", "hidden_size": 8}}),
    ],
)  # fmt: skip
def test_a_field_of_the_configuration_is_read_by_its_type(words, expected):
    found = parsed(*words, "--seed", "3")
    assert found[1] == expected and found[0].seed == 3
    assert found[2] == {**expected, "seed": 3}


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (["--hidden_size", "1e3"], ["hidden_size", "1e3", "INT"]),
        (["--hidden_size"], ["hidden_size"]),
        (["--embedding_std", "small"], ["embedding_std", "small", "FLOAT"]),
        (["--use_pos_weight", "maybe"], ["use_pos_weight", "maybe"]),
        (["--loss", "hinge"], ["loss", "hinge", "bce,focal,asymmetric"]),
        (["--text_config", "{a"], ["text_config", "{a", "no JSON"]),
        (["--text_config", "[1]"], ["text_config", "[1]", "JSON"]),
        (["--thresholds", "["], ["thresholds", "no JSON"]),
        (["--hiden-size", "3"], ["hiden_size", "did you mean hidden_size"]),
        (["--vocab_size", "3"], ["unknown argument '--vocab_size'"]),
    ],
)
def test_a_value_that_does_not_fit_is_one_line(words, fragments):
    with pytest.raises(UserError) as caught:
        parsed(*words)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_a_recipe_is_read_as_the_command_line_is(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "learning-rate: 1e-4\nembedding_std: 1e-2\nranking_ks: [1, 2]\nthresholds: [0.5]\nlabels_separator: '-'\n"
        "text_config: {model_type: bert}\nuse_pos_weight: true\ndataset_name: null\n",
        encoding="utf-8",
    )
    filled, extra, given = parsed("--config", str(recipe), "--embedding-std", "0.5")
    assert (filled.learning_rate, filled.ranking_ks, filled.labels_separator) == (1e-4, [1, 2], "-")
    settings = {
        "embedding_std": 0.5,
        "thresholds": [0.5],
        "text_config": {"model_type": "bert"},
        "use_pos_weight": True,
    }
    assert extra == settings
    known = {"learning_rate": 1e-4, "ranking_ks": [1, 2], "labels_separator": "-", "dataset_name": None}
    assert given == {**known, **settings}


def test_words_of_a_recipe_are_words(tmp_path):
    """Norway is no truth value, as it is in YAML 1.1; what YAML 1.2 has for numbers and truth are."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "label_columns: [NO, on, y, 1:30, 2020-01-01]\nids: [010, 0x1F, -5, .5, 1e-2, 2., true, FALSE, null]\n",
        encoding="utf-8",
    )
    assert read_recipe(recipe) == {
        "label_columns": ["NO", "on", "y", "1:30", "2020-01-01"],
        "ids": [10, 31, -5, 0.5, 0.01, 2.0, True, False, None],
    }
    recipe.write_text("# nothing yet\n", encoding="utf-8")
    with pytest.raises(UserError, match="an empty file; accepted: a mapping of argument names to values"):
        read_recipe(recipe)
    # where it is all that an argument is given, as recipes for PyYAML have it; others than `train` read recipes too
    recipe.write_text("load_best_model_at_end: No\nuse_pos_weight: on\nencoder: 'no'\n", encoding="utf-8")
    assert read_recipe(recipe) == {"load_best_model_at_end": False, "use_pos_weight": True, "encoder": "no"}


def test_help_lists_the_recipe_and_the_fields_of_the_configuration(capsys):
    with pytest.raises(SystemExit):
        parsed("--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert "--config FILE A recipe" in shown
    assert (
        "--hidden_size INT, --hidden-size INT Width of the token vectors that labels attend to; 256, of an AWD-LSTM 400."
        in shown
    )
    assert (
        "--conv_kernel_size INT, --conv-kernel-size INT Tokens that a convolution sees, an odd number. (default: 5)"
        in shown
    )
    assert "--encoder {bag_of_words,convolution,gru,lstm,awd_lstm,transformer}" in shown
    assert "--loss {bce,focal,asymmetric}" in shown and "--use_pos_weight [BOOL]" in shown
    assert "--vocab_size" not in shown


def test_a_package_that_is_not_installed_is_one_line(monkeypatch, tmp_path):
    def needs_a_package(self):
        raise ImportError("--deepspeed requires deepspeed: `pip install deepspeed`")

    monkeypatch.setattr(MultiLabelTrainingArguments, "__post_init__", needs_a_package)
    with pytest.raises(UserError, match="requires deepspeed"):
        parse_arguments(MultiLabelTrainingArguments, ["--output_dir", str(tmp_path)])


def test_what_cannot_be_reported_to_is_found_before_any_work(monkeypatch, tmp_path):
    def callbacks(report_to):
        def make():
            raise RuntimeError("WandbCallback requires wandb to be installed. Run `pip install wandb`.")

        return [make] if report_to == ["wandb"] else []

    monkeypatch.setattr("hf_mlc.commands.parsing.get_reporting_integration_callbacks", callbacks)
    words = ["--output_dir", str(tmp_path), "--use_cpu", "true", "--report_to"]
    with pytest.raises(UserError, match="field 'report_to': WandbCallback requires wandb"):
        parse_arguments(MultiLabelTrainingArguments, [*words, "wandb"])
    parse_arguments(MultiLabelTrainingArguments, [*words, "none"])


# -- outputs --------------------------------------------------------------------------------------------------------


def test_an_output_that_cannot_be_written_is_found_beforehand(tmp_path):
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    for path in (tmp_path, tmp_path / "a" / "b"):
        check_output_folder(path)
    check_output_file(file)
    check_output_file(tmp_path / "new")
    for path in (file, file / "below", file / "far" / "below"):
        with pytest.raises(UserError, match=r"field 'output_dir': .*is no folder"):
            check_output_folder(path)
    for path, message in (
        (tmp_path, "is a folder"),
        (tmp_path / "a" / "b", "no such folder"),
        (file / "x", "no such"),
    ):
        with pytest.raises(UserError, match=message):
            check_output_file(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_file_that_is_not_written_to_its_end_leaves_the_old_one(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old", encoding="utf-8")
    with pytest.raises(KeyError), written_whole(file) as stream:
        stream.write("half")
        raise KeyError
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["old"]
    with written_whole(file) as stream:
        stream.write("né\n")
    assert file.read_bytes() == "né\n".encode()


def test_null_in_a_recipe_is_a_value_and_never_silently_the_default(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("embedding_size: null\nlabels_separator: null\n", encoding="utf-8")
    _, extra, _ = parsed("--config", str(recipe), "--embedding_std", "0.5")
    assert extra == {"embedding_size": None, "embedding_std": 0.5}
    for line, fragment in (
        ("ranking_ks: null", "field 'ranking_ks': found null; accepted: a value, or no such line"),
        ("hidden_dropout: null", "hidden-dropout: found 'none', expected FLOAT"),
    ):
        recipe.write_text(f"{line}\n", encoding="utf-8")
        with pytest.raises(UserError) as caught:
            parsed("--config", str(recipe))
        assert fragment in str(caught.value)


def test_an_empty_grid_of_end_biases_is_a_choice(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("end_biases: []\nseed: 3\n", encoding="utf-8")
    common = ["--output_dir", str(tmp_path), "--use_cpu"]
    for words in (["--end_biases", *common], [*common, "--end_biases"], ["--config", str(recipe), *common]):
        (args,), _, given = parse_arguments(MultiLabelTrainingArguments, words)
        assert args.end_biases == [] == given["end_biases"]
    with pytest.raises(UserError, match="ranking_ks"):
        parse_arguments(MultiLabelTrainingArguments, [*common, "--ranking_ks"])
