"""A page for one multi-label text classifier: labels with scores, a threshold to move, the words behind a label.

Runs on a Hugging Face Space or by `python app.py`. `space.json` beside this file says which model is shown. The code that
comes with that model's weights is run (`trust_remote_code=True`): show your own models, or ones whose code you have read.
"""

import functools
import html
import json
import logging
import os
from pathlib import Path


# before the libraries are imported, which read these once; nothing is reported to anyone
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr
import torch
from transformers import pipeline


HERE = Path(__file__).parent
MAX_SCORED = 100  # labels whose scores and evidence one answer holds; what follows them scores next to nothing
NEXT_BEST = 3  # labels shown below the threshold
CONTEXT = 120  # characters shown on either side of a marked word
MAX_CHARACTERS = 100_000

EMPTY = "Paste a text and press <b>Find labels</b>, or choose an example."
NO_TEXT = "There is no text yet. Type or paste one first, or choose an example."
FAILED = "This text could not be labelled. Please try again, or try a shorter text."
NOT_LOADED = "The model could not be loaded, so there is no answer. The log of this app says why."

# the browser opens and closes rows by itself; Python is told which, to keep it open when the list is drawn anew
ON_CLICK = """
element.addEventListener('click', (event) => {
  const row = event.target.closest('summary')?.parentElement;
  if (row) trigger('choose', { label: row.open ? '' : row.dataset.label });
});
"""
# on a phone the answer begins below the fold; where its beginning is in sight already, nothing moves
SHOW_ANSWER = """() => {
  const list = document.querySelector('#labels');
  if (list.getBoundingClientRect().top > 0.8 * innerHeight) list.scrollIntoView({ behavior: 'smooth' });
}"""


# -- the model ------------------------------------------------------------------------------------------------------


@functools.cache
def load(model: str, revision: str | None):
    """The pipeline of the model, loaded once; a failure is not kept, so the next press tries again."""
    device = 0 if torch.cuda.is_available() else -1
    return pipeline(
        "multi-label-classification", model=model, revision=revision, trust_remote_code=True, device=device
    )


def score(pipe, text: str) -> dict:
    """All that the page shows of one text, so that nothing on it needs the model again.

    Returns:
        `{"text", "tokens", "read", "part", "more", "labels": [{"label", "about", "score", "threshold", "tuned", "evidence"}]}`,
        best first; `tuned` says whether the model's own rule predicts the label. `evidence` is `None` for a model that can't
        tell from which words it reads. `part` says which tokens were read, the `"first"` or the `"last"`, and `more` whether
        labels are left out at the end.
    """
    config = pipe.model.config
    explained = pipe.model.has_token_weights and pipe.tokenizer.is_fast
    answers = pipe(text, top_k=min(MAX_SCORED, config.num_labels), explain=explained)
    ids = torch.tensor([[config.label2id[answer["label"]] for answer in answers]])
    scores = torch.tensor([[answer["score"] for answer in answers]])
    if getattr(config, "decision", "thresholds") == "thresholds":
        tuned = pipe.model.decide(scores, candidate_ids=ids)[0].tolist()
    else:  # a model that decides on label sets as a whole: the pipeline says on which
        own = {answer["label"] for answer in pipe(text)}
        tuned = [answer["label"] in own for answer in answers]
    about = (config.label_space or {}).get("descriptions") or [None] * config.num_labels
    thresholds = config.thresholds if isinstance(config.thresholds, list) else [config.thresholds] * config.num_labels
    limit = pipe.tokenizer.model_max_length
    tokens = len(pipe.tokenizer(text, truncation=False, verbose=False)["input_ids"])
    labels = [
        {
            "label": answer["label"],
            "about": about[number] or "",
            "score": answer["score"],
            "threshold": thresholds[number],
            "tuned": chosen,
            "evidence": answer.get("evidence"),
        }
        for answer, number, chosen in zip(answers, ids[0].tolist(), tuned, strict=True)
    ]
    return {
        "text": text,
        "tokens": tokens,
        "read": min(tokens, limit),
        "part": "last" if pipe.tokenizer.truncation_side == "left" else "first",
        "more": len(labels) < config.num_labels,
        "labels": labels,
    }


# -- what is shown --------------------------------------------------------------------------------------------------


def message(text: str, kind: str = "empty") -> str:
    """One line in place of an answer; `kind` is `"empty"` or `"problem"`."""
    return f'<p class="{kind}" role="status">{text}</p>'


def label_row(entry: dict, text: str, threshold: float, is_open: bool, kind: str) -> str:
    """One label: its name, what it stands for, its score as number and bar, its threshold as a line across the bar.

    It opens to the evidence; of rows with one `name` the browser keeps at most one open.
    """
    name, about = html.escape(entry["label"]), html.escape(entry["about"])
    score = f"{entry['score']:.2f}" if entry["score"] >= 0.005 else "&lt;0.01"
    return (
        f'<details class="row {kind}" name="label" data-label="{name}"{" open" * is_open}>'
        f'<summary><span class="name">{name}</span><span class="about">{about}</span>'
        f'<span class="score">{score}</span>'
        f'<span class="bar"><span class="fill" style="width:{100 * entry["score"]:.1f}%"></span>'
        f'<span class="line" style="left:{100 * threshold:.1f}%"></span></span></summary>'
        f"{evidence_view(text, entry['evidence'])}</details>"
    )


def label_list(found: dict | None, threshold: float, own: bool, count: int, chosen: str | None) -> str:
    """The predicted labels, at most `count`, and the next best below the threshold; `chosen` is the one that is open."""
    if found is None:
        return message(EMPTY)
    passing = [entry for entry in found["labels"] if (entry["tuned"] if own else entry["score"] >= threshold)]
    below = [entry for entry in found["labels"] if entry not in passing][:NEXT_BEST]
    parts = []
    if found["read"] < found["tokens"]:
        read, tokens = f"{found['read']:,}", f"{found['tokens']:,}"
        parts.append(message(f"The text is long: the model read the {found['part']} {read} of {tokens} tokens."))
    said = f"{len(passing)} label{'s' * (len(passing) != 1)}" if passing else "No label reaches the threshold"
    said += " or more" if not below and found["more"] else ""
    said += f", the best {count} shown" if len(passing) > count else ""
    parts.append(f'<p class="head" role="status"><b>{said}.</b> Open one to see the words that weigh most for it.</p>')
    for kind, entries in (("predicted", passing[:count]), ("below", below)):
        if kind == "below" and below:
            parts.append('<p class="head"><b>Below the threshold</b></p>')
        for entry in entries:
            line = entry["threshold"] if own else threshold
            parts.append(label_row(entry, found["text"], line, entry["label"] == chosen, kind))
    return "".join(parts)


def evidence_view(text: str, evidence: list[dict] | None) -> str:
    """The text with the words of the evidence marked, in a stronger colour for more weight.

    Long stretches without a mark are cut short, so that all marks are in sight.
    """
    if evidence is None:
        return '<div class="text muted">This model does not tell from which words it reads a label.</div>'
    spans = sorted((span for span in evidence if span["weight"] > 0), key=lambda span: span["start"])
    if not spans:
        return '<div class="text muted">No words stand out for this label.</div>'
    most = max(span["weight"] for span in spans)
    parts, end = [], 0
    for span in spans:
        parts.append(shortened(text[end : span["start"]], at_start=not parts))
        parts.append(
            f'<mark style="--strength:{0.25 + 0.75 * span["weight"] / most:.2f}" title="weight {span["weight"]:.3f}">'
            f"{html.escape(text[span['start'] : span['end']])}</mark>"
        )
        end = span["end"]
    parts.append(shortened(text[end:], at_end=True))
    return f'<div class="text">{"".join(parts)}</div>'


def shortened(stretch: str, *, at_start: bool = False, at_end: bool = False) -> str:
    """A stretch between two marks as HTML, with what is far from both left out."""
    if len(stretch) <= 3 * CONTEXT:
        return html.escape(stretch)
    # a word that was cut in two is left out
    # where all is blank there is none
    left = "" if at_start else "".join(stretch[:CONTEXT].rsplit(maxsplit=1)[:1])
    right = "" if at_end else "".join(stretch[-CONTEXT:].split(maxsplit=1)[-1:])
    return f'{html.escape(left)}<span class="muted"> […] </span>{html.escape(right)}'


# -- the page -------------------------------------------------------------------------------------------------------


def own_thresholds(settings: dict) -> tuple[float, str]:
    """Where the slider starts, and how the model's thresholds are called."""
    thresholds = settings["thresholds"]
    low, middle, high = thresholds["lowest"], thresholds["median"], thresholds["highest"]
    start = round(middle, 2)
    if low == high:
        return start, f"Use the model's own threshold ({middle:.2f})"
    return start, f"Use the model's own thresholds (one per label, {low:.2f} to {high:.2f})"


def answer(settings: dict, text: str, threshold: float, own: bool, count: int) -> tuple[dict | None, str, str]:
    """What "Find labels" does: runs the model.

    Returns:
        What `score` found (`None` without an answer), the label that is open, and the list as HTML. Whatever goes wrong,
        the visitor reads one line and the log has the rest.
    """
    if not text.strip():
        return None, "", message(NO_TEXT, "problem")
    try:
        pipe = load(settings["model"], settings["revision"])
    except Exception:
        logging.exception("the model %s could not be loaded", settings["model"])
        return None, "", message(NOT_LOADED, "problem")
    try:
        found = score(pipe, text)
        chosen = found["labels"][0]["label"] if found["labels"] else ""
        return found, chosen, label_list(found, threshold, own, count, chosen)
    except Exception:
        logging.exception("a text of %d characters could not be labelled", len(text))
        return None, "", message(FAILED, "problem")


def drawn_anew(found: dict | None, threshold: float, own: bool, count: int, chosen: str | None) -> str:
    """The list after a slider was moved, with the same promise as `answer`: it may show labels that weren't drawn before."""
    try:
        return label_list(found, threshold, own, count, chosen)
    except Exception:
        logging.exception("the labels of a text could not be shown")
        return message(FAILED, "problem")


def build(settings: dict) -> gr.Blocks:
    """The page of one model; `settings` is what `space.json` holds."""
    start, own_name = own_thresholds(settings)
    most_shown = max(2, min(30, settings["num_labels"]))

    def choose(event: gr.EventData):
        return event.label

    def move_threshold(found, threshold, count, chosen):
        return False, drawn_anew(found, threshold, False, count, chosen)

    def use_own(found, threshold, own, count, chosen):
        threshold = start if own else threshold
        return threshold, drawn_anew(found, threshold, own, count, chosen)

    with gr.Blocks(title=settings["title"], analytics_enabled=False) as page:
        found, chosen = gr.State(None), gr.State("")
        gr.Markdown(heading(settings), elem_id="heading")
        with gr.Row():
            with gr.Column(min_width=320):
                text = gr.Textbox(
                    label="Text",
                    info="It is sent to the machine that runs this app: leave out names and other personal data.",
                    placeholder="Paste or type a text; Shift+Enter finds its labels",
                    lines=10,
                    max_lines=18,
                    max_length=MAX_CHARACTERS,
                    autoscroll=False,
                    elem_id="text",
                )
                with gr.Row():
                    clear = gr.Button("Clear", elem_id="clear", min_width=80, scale=1)
                    submit = gr.Button("Find labels", variant="primary", elem_id="submit", min_width=120, scale=2)
                examples = None
                if settings["examples"]:
                    examples = gr.Examples(
                        [[example["text"]] for example in settings["examples"]],
                        inputs=[text],
                        example_labels=[example["title"] for example in settings["examples"]],
                        cache_examples=False,
                        elem_id="examples",
                    )
            with gr.Column(min_width=320):
                with gr.Group():
                    own = gr.Checkbox(True, label=own_name, elem_id="own", container=True)
                    with gr.Row():
                        threshold = gr.Slider(
                            0, 1, start, step=0.01, label="Threshold", elem_id="threshold", min_width=130
                        )
                        count = gr.Slider(
                            1,
                            most_shown,
                            min(10, most_shown),  # gradio refuses a value beyond the end, hidden slider or not
                            step=1,
                            label="Labels shown",
                            elem_id="count",
                            min_width=130,
                            visible=settings["num_labels"] > 10,
                        )
                labels = gr.HTML(
                    message(EMPTY), js_on_load=ON_CLICK, elem_id="labels", apply_default_css=False, padding=False
                )
        if settings["limits"]:
            gr.Markdown(f"**Limits**\n\n{settings['limits']}", elem_id="limits")

        quiet = {"show_progress": "hidden", "api_visibility": "private"}
        asked = {
            "fn": functools.partial(answer, settings),
            "inputs": [text, threshold, own, count],
            "outputs": [found, chosen, labels],
            "api_visibility": "private",
        }
        answered = [gr.on([submit.click, text.submit], **asked)]
        if examples is not None:
            answered.append(examples.load_input_event.then(**asked))
        for event in answered:
            event.then(None, js=SHOW_ANSWER, **quiet)
        labels.choose(choose, None, [chosen], **quiet)
        # none of these needs the model: the scores are in the page's state
        moved = {"trigger_mode": "always_last", **quiet}
        threshold.input(move_threshold, [found, threshold, count, chosen], [own, labels], **moved)
        own.input(use_own, [found, threshold, own, count, chosen], [threshold, labels], **moved)
        count.input(drawn_anew, [found, threshold, own, count, chosen], [labels], **moved)
        clear.click(lambda: ("", None, "", message(EMPTY)), None, [text, found, chosen, labels], **quiet)
    return page


def heading(settings: dict) -> str:
    """Title, and which model it is, with a link where it has a page."""
    name = Path(settings["model"]).name
    if settings["on_hub"]:
        name = f"[{settings['model']}](https://huggingface.co/{settings['model']})"
    return f"# {settings['title']}\n{settings['num_labels']:,} labels · model {name}"


def theme() -> gr.themes.Base:
    """Gradio's own theme in blue, with fonts from this server only and grey text that is dark enough to read."""
    return gr.themes.Default(
        primary_hue="blue",
        neutral_hue="slate",
        # gradio 6.31 brings a semi-bold of this font without letters in it: bold is taken in its place
        font=(gr.themes.LocalFont("Source Sans Pro", weights=(400, 700)), "system-ui", "sans-serif"),
    ).set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        body_text_color_subdued="*neutral_600",
        block_info_text_color="*neutral_600",
        input_placeholder_color="*neutral_500",
    )


def main() -> None:
    """Serves the page, on the host and port that GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say."""
    settings = json.loads((HERE / "space.json").read_text(encoding="utf-8"))
    try:
        load(settings["model"], settings["revision"])  # the first visitor should not have to wait for it
    except Exception:
        logging.exception("the model %s could not be loaded; the page says so", settings["model"])
    build(settings).launch(
        theme=theme(), css_paths=HERE / "style.css", footer_links=[], ssr_mode=False, show_error=False
    )


if __name__ == "__main__":
    main()
