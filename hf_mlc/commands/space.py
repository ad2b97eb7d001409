"""`space`: a Gradio app for a model, as a folder, and on the Hub when asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from huggingface_hub.utils import validate_repo_id

from hf_mlc.commands.parsing import parse_arguments
from hf_mlc.commands.running import check_output_folder, say
from hf_mlc.errors import UserError
from hf_mlc.spaces import push_space, read_source, space_files, write_space


@dataclass
class SpaceArguments:
    """Arguments of `space`."""

    model: str = field(metadata={"help": "A Hub id; or a model's folder, for trying on this machine."})
    output: str = field(metadata={"help": "The folder to write; new, or empty."})
    revision: str | None = field(default=None, metadata={"help": "The model's branch, tag or commit."})
    title: str | None = field(default=None, metadata={"help": "The page's heading; default: the model's name."})
    push_to_hub: bool = field(default=False, metadata={"help": "Put the Space on the Hub too."})
    repo_id: str | None = field(default=None, metadata={"help": "Where on the Hub: org/space-name."})
    private: bool = field(default=False, metadata={"help": "Create the Space as a private one."})

    def __post_init__(self):
        check_output_folder(self.output, field="output")
        if self.title is not None and not self.title.strip():
            raise UserError("is empty", field="title", accepted="a line of text")
        if self.push_to_hub and self.repo_id is None:
            raise UserError("is missing", field="repo_id", accepted="org/space-name, with --push_to_hub")
        if not self.push_to_hub and (self.repo_id is not None or self.private):
            given = "repo_id" if self.repo_id is not None else "private"
            raise UserError("has no effect without --push_to_hub", field=given, accepted="--push_to_hub")
        if self.repo_id is not None:
            validate_repo_id(self.repo_id)


def main(arguments: list[str]) -> None:
    """Writes the Space by `arguments`, and pushes it when asked."""
    (args,), _, _ = parse_arguments(SpaceArguments, arguments)
    source = read_source(args.model, revision=args.revision)
    if args.push_to_hub and not source.on_hub:
        raise UserError(
            "is a folder, which a Space can't read",
            file=args.model,
            field="model",
            accepted="a Hub id; publish it first",
        )
    write_space(space_files(source, title=args.title), args.output)
    say(f"wrote {args.output} for {source.name}{f' at {source.revision}' if source.revision else ''}")
    if not source.examples:
        say("no examples on the page: the model's card has no `widget` entries with `text`")
    say(f"the app runs the code that comes with the model; try it:  python {args.output}/app.py")
    if args.push_to_hub:
        say(f"pushed to {push_space(args.output, args.repo_id, private=args.private)}")
