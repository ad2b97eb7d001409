"""What every architecture's configuration holds: the loss, the decision rule and the label space."""

import json
import os
import shutil
from pathlib import Path
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.utils import cached_file


# Beyond this many labels, names and counts leave config.json for a file beside it (`label_space_file`)
MAX_LABELS_IN_CONFIG = 20_000
# What an encoder of this name reads; every other encoder reads texts
ENCODER_INPUTS = {"image": "image", "mlp": "table", "features": "features"}


class _PipelinesAtHand(dict):
    """`custom_pipelines` of a saved model, in a process where the package has registered their classes itself.

    `pipeline(model=...)` reads the task off it, as it should; but for a task that is `in` it, transformers asks for
    `trust_remote_code` and runs the copy in the model's folder, and has no word for "the class is here already".
    """

    def __contains__(self, task):
        return False


@strict
class MultiLabelConfig(PreTrainedConfig):
    r"""
    Base class of all configurations of this package.

    Args:
        loss (`str`, *optional*, defaults to `"bce"`):
            `"bce"` (binary cross-entropy), `"focal"` (Lin et al., 2017) or `"asymmetric"` (Ridnik et al., 2021).
        loss_reduction (`str`, *optional*, defaults to `"mean"`):
            Over the labels of a document, `"mean"` (sum divided by the number of labels) or `"sum"`. Over documents
            the loss is always a mean.
        use_pos_weight (`bool`, *optional*, defaults to `False`):
            Weigh the positives of label l by `min((N - n_l) / n_l, pos_weight_max)`; the weights are a buffer of the
            model, filled from training counts. For `"bce"` only.
        pos_weight_max (`float`, *optional*, defaults to 10.0): upper bound of these weights.
        label_smoothing (`float`, *optional*, defaults to 0.0):
            Targets become `y * (1 - s) + s / 2` (binary smoothing; every label is its own two-class problem). For
            `"bce"` only.
        focal_gamma (`float`, *optional*, defaults to 2.0): exponent of the focal loss.
        asymmetric_gamma_positive (`float`, *optional*, defaults to 0.0): exponent for positives.
        asymmetric_gamma_negative (`float`, *optional*, defaults to 4.0): exponent for negatives.
        asymmetric_clip (`float`, *optional*, defaults to 0.05): probability margin under which negatives cost nothing.
        thresholds (`float` or `list[float]`, *optional*, defaults to 0.5):
            A label is predicted from this score on; one number, or one a label. Tuned on validation rows.
        min_labels (`int`, *optional*, defaults to 0): the smallest label set a document may get.
        label_space (`dict`, *optional*):
            Training counts and, where known, descriptions and parents of the labels (`hf_mlc.labels.LabelSpace`);
            the names are `id2label`.
        label_space_file (`str`, *optional*):
            The file beside config.json that holds names and counts where there are more than 20,000 labels.
        label_count (`int`, *optional*): number of labels, written only with `label_space_file`.
    """

    loss: Literal["bce", "focal", "asymmetric"] = "bce"
    loss_reduction: Literal["mean", "sum"] = "mean"
    use_pos_weight: bool = False
    pos_weight_max: float | int = 10.0
    label_smoothing: float | int = 0.0
    focal_gamma: float | int = 2.0
    asymmetric_gamma_positive: float | int = 0.0
    asymmetric_gamma_negative: float | int = 4.0
    asymmetric_clip: float | int = 0.05
    thresholds: float | int | list[float] = 0.5
    min_labels: int = 0
    label_space: dict[str, Any] | None = None
    label_space_file: str | None = None
    label_count: int | None = None

    # `hf_mlc.auto.register` sets it; in the copy beside the weights, which runs without the package, it stays False
    pipelines_are_registered = False

    def __post_init__(self, **kwargs):
        if self.pipelines_are_registered and "custom_pipelines" in kwargs:
            kwargs["custom_pipelines"] = _PipelinesAtHand(kwargs["custom_pipelines"])
        # with the names in a file of their own, these are placeholders until `read_label_file`
        self._names_are_placeholders = self.id2label is None and self.label_count is not None
        if self._names_are_placeholders and kwargs.setdefault("num_labels", self.label_count) != self.label_count:
            self._forget_labels()
        super().__post_init__(**kwargs)
        self.problem_type = "multi_label_classification"

    @property
    def input_kind(self) -> str:
        """What the model reads: "text", or what its encoder reads otherwise (`ENCODER_INPUTS`)."""
        return ENCODER_INPUTS.get(getattr(self, "encoder", None), "text")

    @property
    def has_linear_readout(self) -> bool:
        """Whether linear machines, fitted before training, have a say in the labels' scores."""
        return False

    def __setattr__(self, key: str, value: Any):
        """Other names: as many as before are new names of the same labels, which keep their thresholds and counts; with
        another number of them nothing is known of the old labels any more. `num_labels` comes here as well, since
        transformers makes names of it (`LABEL_0`, ...)."""
        before = self.__dict__.get("id2label") if key == "id2label" else None
        if before is not None and value is not None:
            self._names_are_placeholders = False  # whoever gives names does not mean those in the file
            if len(value) != len(before):
                thresholds = self.thresholds
                self._forget_labels()
                if isinstance(thresholds, list) and len(thresholds) == len(value):
                    self.thresholds = thresholds  # of the new labels: arguments of a call come in any order
        super().__setattr__(key, value)

    def _forget_labels(self):
        if isinstance(self.thresholds, list):
            self.thresholds = 0.5
        self.label_space, self.label_space_file, self.label_count = None, None, None
        self._names_are_placeholders = False

    def validate_loss_arguments(self):
        """Ranges of the loss's numbers."""
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"`label_smoothing` must be in [0, 1), found {self.label_smoothing}")
        for name in ("focal_gamma", "asymmetric_gamma_positive", "asymmetric_gamma_negative"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, found {getattr(self, name)}")
        if not 0 <= self.asymmetric_clip < 1:
            raise ValueError(f"`asymmetric_clip` must be in [0, 1), found {self.asymmetric_clip}")
        if self.pos_weight_max <= 0:
            raise ValueError(f"`pos_weight_max` must be positive, found {self.pos_weight_max}")
        if self.loss != "bce" and (self.use_pos_weight or self.label_smoothing):
            raise ValueError(f'`use_pos_weight` and `label_smoothing` belong to `loss="bce"`, found "{self.loss}"')

    def validate_thresholds(self):
        """One threshold, or exactly one a label, each a probability."""
        thresholds = self.thresholds if isinstance(self.thresholds, list) else [self.thresholds]
        if isinstance(self.thresholds, list) and len(thresholds) != self.num_labels:
            raise ValueError(f"`thresholds` has {len(thresholds)} entries for {self.num_labels} labels")
        if not all(0 <= threshold <= 1 for threshold in thresholds):
            raise ValueError("`thresholds` must lie in [0, 1]")
        if self.min_labels < 0:
            raise ValueError(f"`min_labels` must not be negative, found {self.min_labels}")

    def to_dict(self) -> dict[str, Any]:
        """The configuration as a dictionary; with a `label_space_file` the names stay out of it."""
        output = super().to_dict()
        if self.label_space_file is not None:
            output["label_count"] = self.num_labels
            for key in ("id2label", "label2id", "label_space"):
                output.pop(key, None)
        output.pop("_names_are_placeholders", None)
        output.pop("_loaded_from", None)
        return output

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs):
        """As `PreTrainedConfig.from_pretrained`, remembering where the label file is to be sought."""
        source = dict(kwargs)
        config = super().from_pretrained(pretrained_model_name_or_path, **kwargs)
        (config[0] if isinstance(config, tuple) else config).remember_source(pretrained_model_name_or_path, source)
        return config

    def remember_source(self, name_or_path: str | os.PathLike, kwargs: dict[str, Any]) -> None:
        """Keeps those arguments of a `from_pretrained` that say which of a repository's files are meant."""
        chosen = {name: kwargs[name] for name in ("revision", "subfolder", "cache_dir") if kwargs.get(name)}
        self._loaded_from = {"path_or_repo_id": str(name_or_path), **chosen}

    @property
    def loaded_from(self) -> dict[str, str]:
        """What finds the files that belong to this configuration: `path_or_repo_id`, perhaps `revision`, `subfolder`,
        `cache_dir`; AutoConfig remembers no more than the name."""
        return getattr(self, "_loaded_from", {"path_or_repo_id": self.name_or_path})

    def label_file(self, **how: Any) -> Path:
        """The file of names and counts in the folder or Hub repository that this configuration was loaded from.

        Args:
            how: of `from_pretrained`, what says how to get at files (`token`, `local_files_only`, ...). It is used here and
                kept nowhere: a configuration is saved and published, and a token must not be.
        """
        return Path(cached_file(filename=self.label_space_file, **self.loaded_from, **how))

    def read_label_file(self, **how: Any) -> None:
        """Fills in names and label space where they lie in a file of their own; does nothing otherwise, nor where names were
        given since.

        Args:
            how: see `label_file`.

        Raises:
            `OSError`: there is no such file, or it may not be read.
            `ValueError`: it is cut short, or names another number of labels than config.json says.
        """
        if not self._names_are_placeholders:
            return
        file = self.label_file(**how)
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:  # cut short, or no UTF-8
            raise ValueError(f"{file} is no whole JSON file: {error}") from None
        if not isinstance(content, dict) or not isinstance(content.get("names"), list):
            raise ValueError(f"{file} holds no `names`")
        names = content.pop("names")
        if len(names) != self.label_count:
            raise ValueError(f"{self.label_space_file} names {len(names)} labels, config.json says {self.label_count}")
        self.id2label = dict(enumerate(names))
        self.label2id = {name: number for number, name in enumerate(names)}
        self.label_space = content
        self._names_are_placeholders = False

    def save_pretrained(self, save_directory: str | os.PathLike, push_to_hub: bool = False, **kwargs):
        """As `PreTrainedConfig.save_pretrained`, with the label file beside config.json where there is one."""
        super().save_pretrained(save_directory, push_to_hub, **kwargs)
        if self.label_space_file is None:
            return
        target = Path(save_directory, self.label_space_file)
        if self._names_are_placeholders:
            if target.resolve() != self.label_file().resolve():
                shutil.copyfile(self.label_file(), target)
            return
        id2label = self.id2label  # looked up once, not once a label
        content = {"names": [id2label[number] for number in range(len(id2label))], **(self.label_space or {})}
        target.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


__all__ = ["ENCODER_INPUTS", "MAX_LABELS_IN_CONFIG", "MultiLabelConfig"]
