"""What is published of the repository's data sets, to compare with what is found."""

from __future__ import annotations


# counted by the authors of xcube in the texts that they use
PUBLISHED_TEXTS = {
    "eurlex4k": {"train": 15_449, "test": 3_865, "labels": 3_956},
    "wiki10": {"train": 14_146, "test": 6_616, "labels": 30_938},
}
# features and labels as the settings of LightDXML's code have them; of Wiki10-31K, whose setting there is that of another data
# set, the number of features that the repository gives
PUBLISHED_FEATURES = {
    "eurlex4k": {"features": 5_000, "labels": 3_993},
    "wiki10": {"features": 101_938, "labels": 30_938},
    "amazoncat13k": {"features": 203_882, "labels": 13_330},
    "delicious200k": {"features": 782_585, "labels": 205_443},
    "wikilshtc325k": {"features": 1_617_899, "labels": 325_056},
    "wikiseealsotitles350k": {"features": 91_414, "labels": 352_072},
    "wikititles500k": {"features": 185_479, "labels": 501_070},
    "amazon670k": {"features": 135_909, "labels": 670_091},
    "amazontitles670k": {"features": 66_666, "labels": 670_091},
    "amazontitles3m": {"features": 165_431, "labels": 2_812_281},
    "amazon3m": {"features": 337_067, "labels": 2_812_281},
    "lf-amazon131k": {"features": 80_000, "labels": 131_073},
    "lf-amazontitles131k": {"features": 40_000, "labels": 131_073},
}
# of a folder of texts the labels alone where nobody counted the rows
NAMES = tuple(PUBLISHED_FEATURES)


def published(name: str | None, *, sparse: bool) -> dict[str, int]:
    """The counts of a data set by its name; nothing for a name that is none of these.

    Args:
        name (`str`, *optional*): of the data set.
        sparse (`bool`): whether its sparse features are meant, which may not be of the same rows as its texts.
    """
    if sparse or name not in PUBLISHED_TEXTS:
        return PUBLISHED_FEATURES.get(name, {})
    return PUBLISHED_TEXTS[name]
