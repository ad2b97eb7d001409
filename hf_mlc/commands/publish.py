"""`publish`: a trained model's folder becomes a repository on the Hub, or with --dry_run a folder to look at."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.utils import validate_repo_id

from hf_mlc.cards import check_installed
from hf_mlc.commands.parsing import parse_arguments
from hf_mlc.commands.running import check_output_folder, say
from hf_mlc.errors import UserError
from hf_mlc.files import check_new_folder
from hf_mlc.publishing import own_repo_id, stage_model, staging_folder, upload_staged
from hf_mlc.publishing.contents import published_categories, published_users, published_words


@dataclass
class PublishArguments:
    """Arguments of `publish`."""

    model: str = field(metadata={"help": "A trained model's folder."})
    repo_id: str = field(metadata={"help": "Where it goes: owner/name."})
    private: bool = field(default=False, metadata={"help": "Only the owner may see it; for a new repository."})
    revision: str | None = field(default=None, metadata={"help": "A branch; it is made if need be. Default: main."})
    commit_message: str | None = field(default=None, metadata={"help": "The commit's title."})
    overwrite: bool = field(
        default=False, metadata={"help": "Take the place of a model of another kind, and of the README.md there."}
    )
    card_folder: str | None = field(
        default=None, metadata={"help": "A folder with card.yaml, metrics.json, baseline.json: model_cards/NAME."}
    )
    run_snippet: bool = field(
        default=True, metadata={"help": "Run the card's usage snippet, so that it shows what is printed."}
    )
    dry_run: bool = field(default=False, metadata={"help": "Write the folder and list it; the Hub is not asked."})
    output: str | None = field(
        default=None, metadata={"help": "With --dry_run, the folder; a temporary one if not given."}
    )

    def __post_init__(self):
        validate_repo_id(self.repo_id)
        check_installed()
        if self.output is None:
            return
        if not self.dry_run:
            raise UserError("found without --dry_run", field="output", accepted="--dry_run --output DIR")
        check_output_folder(self.output, field="output")
        check_new_folder(self.output)


def main(arguments: list[str]) -> None:
    """Publishes by `arguments`; the page's address is the last line of standard output."""
    (args,), _, _ = parse_arguments(PublishArguments, arguments)
    output = Path(args.output) if args.output else None
    if args.dry_run and output is None:
        output = Path(tempfile.mkdtemp(prefix=f"{args.repo_id.rpartition('/')[2]}-"))
    card_folder = Path(args.card_folder) if args.card_folder else None
    # before anything takes its time; and the card's snippet needs the owner's name
    repo_id = args.repo_id if args.dry_run else own_repo_id(HfApi(), args.repo_id)
    with staging_folder(output) as staged:
        stage_model(args.model, staged, repo_id=repo_id, card_folder=card_folder, run_snippet=args.run_snippet)
        listing = _listing(staged)
        for remark in (published_categories(staged), published_users(staged), published_words(staged)):
            if remark is not None:
                say(remark)
        if not args.dry_run:
            say(listing)
            published = upload_staged(
                staged,
                repo_id,
                private=args.private or None,
                revision=args.revision,
                commit_message=args.commit_message,
                overwrite=args.overwrite,
            )
    if args.dry_run:
        sys.stdout.write(f"{listing}\n{output}\n")
        return
    if published.kept_card:
        say("README.md: the text on the Hub was kept, not the folder's; --overwrite takes the folder's")
    if not published.changed:
        say("the repository holds all of this already; nothing was changed")
    sys.stdout.write(f"{published.url}\n")


def _listing(folder: Path) -> str:
    """Every file with its size in bytes, and their sum."""
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    width = len(f"{sum(sizes.values()):,}")
    rows = [f"{size:>{width},}  {name}" for name, size in sizes.items()]
    return "\n".join([*rows, f"{sum(sizes.values()):>{width},}  bytes in {len(sizes)} files"])
