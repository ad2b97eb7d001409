"""Explanations as one page of HTML that needs nothing else: no script, no font, no file beside it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hf_mlc.explaining.explanation import Explanation
from hf_mlc.explaining.shades import AGAINST, FAINT_INK, FOR, INK, Piece, facts, heading, legend, pieces_of


_STYLE = f"""
:root {{ color-scheme: light; }}
body {{ margin: 2rem auto; max-width: 60rem; padding: 0 1rem; background: #fff; color: {INK};
  font: 1rem/1.6 system-ui, sans-serif; }}
h1 {{ font-size: 1.5rem; }}
h2 {{ font-size: 1.15rem; margin: 0; }}
article {{ border: 1px solid #bbb; border-radius: .4rem; margin: 1.5rem 0; padding: 1rem 1.2rem; }}
.facts, .legend, .note {{ color: {FAINT_INK}; margin: .3rem 0; font-size: .9rem; }}
.text {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: .8rem 0; }}
.unread {{ color: {FAINT_INK}; font-style: italic; }}
mark {{ color: inherit; border-radius: .2rem; padding: .1em 0; }}
.legend mark {{ color: {INK}; padding: .1em .4em; margin-right: .2rem; }}
mark.against {{ text-decoration: underline dotted; text-underline-offset: .2em; }}
table {{ border-collapse: collapse; font-size: .9rem; }}
th, td {{ text-align: left; padding: .1rem 1.2rem .1rem 0; border-bottom: 1px solid #ddd; }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
@media print {{ mark {{ print-color-adjust: exact; -webkit-print-color-adjust: exact; }} }}
""" + "".join(
    f"mark.{name}{place} {{ background: {colour}; }}\n"
    for name, colours in (("for", FOR), ("against", AGAINST))
    for place, colour in enumerate(colours, start=1)
)


def to_html(explanations: Sequence[Explanation], *, title: str = "Explanations", top_words: int = 10) -> str:
    """A page with each text shaded by what its words weigh for the label, and the heaviest words as a table.

    Everything that comes from data is escaped; what colours say is said in words too (the table; underlined dots for
    what speaks against the label).

    Args:
        explanations (sequence of [`Explanation`]): in the order of the page.
        title (`str`, *optional*, defaults to `"Explanations"`): the page's heading.
        top_words (`int`, *optional*, defaults to 10): words in the table.
    """
    articles = "\n".join(_article(explanation, top_words) for explanation in explanations)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p class="note">Weights say what the model went by, not whether it was right to.</p>
{articles or '<p class="note">No label was predicted.</p>'}
</main>
</body>
</html>
"""


def _article(explanation: Explanation, top_words: int) -> str:
    shades = " ".join(
        f"<mark{_class(shade)}>{escape(name)}</mark>" for shade, name in legend(explanation) if shade > 0
    )
    against = " ".join(
        f"<mark{_class(shade)}>{escape(name)}</mark>" for shade, name in legend(explanation) if shade < 0
    )
    rows = "\n".join(
        f'<tr><td>{escape(word["text"])}</td><td class="number">{word["weight"]:+.4f}</td>'
        f'<td class="number">{word["start"]}-{word["end"]}</td></tr>'
        for word in explanation.words(top_words)
    )
    return f"""<article>
<h2>{escape(heading(explanation))}</h2>
<p class="facts">{escape(facts(explanation))}</p>
<p class="legend">of the heaviest word's weight, for the label: {shades}{f"<br>against it: {against}" if against else ""}</p>
<div class="text">{"".join(map(_piece, pieces_of(explanation)))}</div>
<details open>
<summary>Heaviest words</summary>
<table>
<thead><tr><th scope="col">word</th><th scope="col">weight</th><th scope="col">characters</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</details>
</article>"""


def _piece(piece: Piece) -> str:
    if not piece.is_read:
        return f'<span class="unread">{escape(piece.text)}</span>'
    if piece.shade == 0:
        return escape(piece.text)
    return f'<mark{_class(piece.shade)} title="{piece.weight:+.4f}">{escape(piece.text)}</mark>'


def _class(shade: int) -> str:
    return f' class="for for{shade}"' if shade > 0 else f' class="against against{-shade}"'
