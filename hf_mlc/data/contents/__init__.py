"""What rows are labelled by, one file a kind: how it is checked, stored, compared. [`hf_mlc.inputs`] stands on it.

[`~hf_mlc.data.rows.Columns`] says which kind the rows are, by the column that it names; texts where it names no other.
"""

from hf_mlc.data.contents.content import Content
from hf_mlc.data.contents.events import EventsContent
from hf_mlc.data.contents.features import FeaturesContent
from hf_mlc.data.contents.image import ImageContent
from hf_mlc.data.contents.text import TextContent


TEXT, IMAGE, FEATURES, EVENTS = TextContent(), ImageContent(), FeaturesContent(), EventsContent()
# by their column; the order is that of a fingerprint, and may only be added to
CONTENTS: dict[str, Content] = {content.column: content for content in (TEXT, IMAGE, FEATURES, EVENTS)}


def content_in(column_names: list[str]) -> Content:
    """What the rows of a split hold that `load_splits` gave."""
    return next(content for content in CONTENTS.values() if content.column in column_names)


__all__ = ["CONTENTS", "EVENTS", "FEATURES", "IMAGE", "TEXT", "Content", "content_in"]
