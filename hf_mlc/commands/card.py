"""`card`: a model's README.md and plots, from what its runs left behind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from datasets import DatasetDict
from huggingface_hub.utils import validate_repo_id

from hf_mlc.cards import check_installed, write_card
from hf_mlc.cards.attention_steps import attention_steps
from hf_mlc.cards.examples import label_examples
from hf_mlc.cards.facts import check_card_folder, read_facts
from hf_mlc.cards.label_relations import relations_of
from hf_mlc.cards.tables import listed_labels
from hf_mlc.commands.column_arguments import HubDataArguments, LabelColumnArguments, TextColumnArguments
from hf_mlc.commands.parsing import parse_arguments
from hf_mlc.commands.running import check_output_file, say, write_json
from hf_mlc.data import Columns, fingerprint, load_splits
from hf_mlc.data.training_rows import results_of, rows_of_training
from hf_mlc.errors import UserError
from hf_mlc.explaining.label_relations import has_relations
from hf_mlc.folder_files import EXAMPLES, RELATIONS, STEPS
from hf_mlc.inference import LoadedModel, check_reads_texts, config_of, load_model
from hf_mlc.run_facts import weights_fingerprint
from hf_mlc.sequence_report import writes_sequences


@dataclass
class CardArguments:
    """Arguments of `card`."""

    model: str = field(metadata={"help": "A trained model's folder."})
    card_folder: str | None = field(
        default=None, metadata={"help": "A folder with card.yaml, metrics.json, baseline.json: model_cards/NAME."}
    )
    repo_id: str | None = field(
        default=None, metadata={"help": "The model's id on the Hub, shown in the snippet. Default: the folder's name."}
    )
    output: str | None = field(
        default=None,
        metadata={"help": "The card's file. Default: README.md in card_folder, else in the model's folder."},
    )
    run_snippet: bool = field(default=True, metadata={"help": "Run the usage snippet and show what it prints."})
    dataset_name: str | None = field(
        default=None, metadata={"help": "The training data, for one example a label; only if card.yaml allows it."}
    )
    id_column: str | None = field(default=None, metadata={"help": "Column of the row's id, as in training."})

    def __post_init__(self):
        if self.repo_id is not None:
            validate_repo_id(self.repo_id)
        if self.output is not None:
            check_output_file(self.output)
        if self.dataset_name is not None and self.card_folder is None:
            raise UserError(
                "found without card_folder", field="dataset_name", accepted="a card_folder to keep examples in"
            )
        if self.card_folder is not None:
            check_card_folder(Path(self.card_folder))
        check_installed()


def main(arguments: list[str]) -> None:
    """Writes a card by `arguments`; its path is the last line of standard output."""
    classes = (CardArguments, TextColumnArguments, LabelColumnArguments, HubDataArguments)
    (args, *of_data), _, _ = parse_arguments(classes, arguments)
    card_folder = Path(args.card_folder) if args.card_folder else None
    if args.dataset_name is not None:
        _write_examples(args, card_folder, lambda splits: _load(args, *of_data, splits))
    if card_folder is not None:
        _write_relations(args, card_folder)
    output = args.output or (card_folder or Path(args.model)) / "README.md"
    card = write_card(
        args.model, repo_id=args.repo_id, card_folder=card_folder, output=output, run_snippet=args.run_snippet
    )
    sys.stdout.write(f"{card}\n")


def _write_examples(args: CardArguments, card_folder: Path, load: Callable[[list[str]], DatasetDict]) -> None:
    facts = read_facts(Path(args.model), card_folder=card_folder)
    if not facts.words.show_examples:
        raise UserError(
            "show_examples is not true", file=card_folder / "card.yaml", field="show_examples",
            accepted="true where texts may be published, or no --dataset_name",
        )  # fmt: skip
    loaded = load_model(args.model)
    check_reads_texts(loaded, "an extract a label")
    rows = load(["train"])["train"]
    names = facts.label_space.decode(listed_labels(facts.label_space).tolist())
    examples = label_examples(loaded, rows["text"][:], rows["labels"][:], names)
    write_json(card_folder / EXAMPLES, {"split": "train", "fingerprint": fingerprint(rows), "examples": examples})
    if writes_sequences(loaded.model):
        _write_steps(args, card_folder, loaded, load)


def _write_steps(
    args: CardArguments, card_folder: Path, loaded: LoadedModel, load: Callable[[list[str]], DatasetDict]
) -> None:
    """Where the steps of one validation document looked, for the card's picture."""
    file = card_folder / STEPS
    file.unlink(missing_ok=True)  # of an earlier model, perhaps
    splits = rows_of_training(results_of(args.model), load, loaded.label_space)
    if splits is None:
        say(
            "no picture of attention by step: the data set doesn't hold the rows that the model was trained and tuned on"
        )
        return
    rows = splits["validation"]
    steps = attention_steps(loaded, rows["text"][:], rows["labels"][:], rows["id"][:])
    if steps:
        found = {"weights": weights_fingerprint(args.model), "split": "validation", "fingerprint": fingerprint(rows)}
        write_json(file, found | steps)


def _write_relations(args: CardArguments, card_folder: Path) -> None:
    """Which labels move which others' logits, so that a card can be made anew without the weights."""
    folder = Path(args.model)
    if has_relations(config_of(folder, args.model)) and weights_fingerprint(args.model) is not None:
        loaded = load_model(args.model, device="cpu")
        write_json(card_folder / RELATIONS, relations_of(loaded, args.model))


def _load(
    args: CardArguments,
    text_args: TextColumnArguments,
    label_args: LabelColumnArguments,
    hub_args: HubDataArguments,
    splits: list[str],
) -> DatasetDict:
    columns = Columns(text=text_args.text_column, **label_args.columns_of_labels(), id=args.id_column)
    return load_splits(args.dataset_name, **hub_args.version(), columns=columns, splits=splits)
