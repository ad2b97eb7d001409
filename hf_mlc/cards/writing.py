"""From a model's folder to its README.md and the plots beside it."""

from __future__ import annotations

from pathlib import Path

from transformers.utils import logging

from hf_mlc.cards.facts import read_facts
from hf_mlc.cards.label_relations import fill_relations
from hf_mlc.cards.merge import merge_card
from hf_mlc.cards.plots import PLOTS, draw_plots
from hf_mlc.cards.render import check_installed, render_card
from hf_mlc.cards.snippet import printed_by_snippet
from hf_mlc.errors import UserError
from hf_mlc.files import written_whole


logger = logging.get_logger(__name__)


def write_card(
    model_folder: str | Path,
    *,
    repo_id: str | None = None,
    card_folder: str | Path | None = None,
    output: str | Path | None = None,
    run_snippet: bool = True,
) -> Path:
    """Writes a model's card, with its plots in the same folder. A README.md that is there already is merged with
    ([`merge_card`]).

    Every number comes from a file: config.json and results.json (`train`), metrics.json (`evaluate`), baseline.json
    (`benchmarks/tfidf.py`), examples.json and attention_steps.json (`card --dataset_name`), label_relations.json (`card`; else from the
    weights), card.yaml (by hand). All but config.json may be missing; what is unknown becomes an HTML comment.

    Args:
        model_folder (`str` or `Path`): a saved model.
        repo_id (`str`, *optional*): its id on the Hub, as the snippet shows it; the card folder's name if not given.
        card_folder (`str` or `Path`, *optional*): `model_cards/NAME`. Its files come before those of the same name in
            the model's folder.
        output (`str` or `Path`, *optional*): the card's file; README.md in the model's folder if not given.
        run_snippet (`bool`, *optional*, defaults to `True`): whether to run the usage snippet in a fresh process (some
            seconds), so that the card shows what it printed.

    Returns:
        `Path`: the card's file.

    Raises:
        `UserError`: no config.json of ours, files that don't belong together, an existing README.md that can't be merged
            with, a snippet that fails, jinja2 missing. Without matplotlib the card has no plots, and a warning says so.
    """
    check_installed()
    model_folder = Path(model_folder)
    output = Path(output) if output is not None else model_folder / "README.md"
    facts = read_facts(model_folder, card_folder=None if card_folder is None else Path(card_folder), repo_id=repo_id)
    fill_relations(facts)
    own_text = ""
    if output.exists():
        with output.open(encoding="utf-8", newline="") as stream:  # line ends as they are
            own_text = stream.read()
    printed = printed_by_snippet(facts) if run_snippet else None
    try:
        plots = draw_plots(facts)
    except UserError as error:
        logger.warning(f"The card has no plots: {error}")
        plots = {}
    text = merge_card(own_text, render_card(facts, printed=printed, plots=plots))
    for name in PLOTS:
        if name in plots:
            with written_whole(output.parent / name, binary=True) as stream:
                stream.write(plots[name])
        else:
            (output.parent / name).unlink(missing_ok=True)  # of an earlier card, and no longer true
    with written_whole(output) as stream:
        stream.write(text)
    return output
