"""`model.push_to_hub`: a model in memory, with what belongs to it, goes to the Hub as its folder would."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import CommitInfo, HfApi, snapshot_download
from huggingface_hub.errors import HFValidationError, HTTPError, OfflineModeIsEnabled
from huggingface_hub.repocard import metadata_load, metadata_save
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging

from hf_mlc.errors import UserError, first_line
from hf_mlc.folder_files import METRICS_FILE, RESULTS_FILE
from hf_mlc.hub_reading import hub_problem
from hf_mlc.inputs import input_kind_of
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.publishing.contents import CARD
from hf_mlc.publishing.hub_errors import TOKEN_HINT
from hf_mlc.publishing.repository import own_repo_id
from hf_mlc.publishing.staging import stage_loaded, staging_folder
from hf_mlc.publishing.uploading import upload_staged


logger = logging.get_logger(__name__)

# of a Hub repository, what is known of the model in it
_FACTS = (RESULTS_FILE, METRICS_FILE, CARD)


def push_model(
    model: MultiLabelPreTrainedModel,
    repo_id: str,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    commit_message: str | None = None,
    commit_description: str | None = None,
    private: bool | None = None,
    token: str | bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    max_shard_size: int | str | None = "50GB",
    tags: list[str] | str | None = None,
) -> CommitInfo:
    """What `MultiLabelPreTrainedModel.push_to_hub` does where this package is imported.

    Args:
        model (`MultiLabelPreTrainedModel`): the model.
        repo_id (`str`): `owner/name`, or `name` for the user's own.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): goes with it, or what else its input is read through; if not given, the
            one that is where the model was loaded from. Where there is none, a tokenizer that is in the repository already stays there.
        commit_message (`str`, *optional*): the commit's title.
        commit_description (`str`, *optional*): what stands below its title.
        private (`bool`, *optional*): whether a new repository is private.
        token (`str` or `bool`, *optional*):
            a token that may write, and read what the model was loaded from; by default, and with `True`, that of HF_TOKEN or
            `hf auth login`. `False` is refused.
        revision (`str`, *optional*): a branch, made if need be.
        create_pr (`bool`, *optional*): must be `False`.
        max_shard_size (`int` or `str`, *optional*, defaults to `"50GB"`): the largest file of weights; `None` is the default.
        tags (`list[str]` or `str`, *optional*): for the card, besides its own.

    Returns:
        `CommitInfo`: the commit that now holds the model.

    Raises:
        `UserError`: see `upload_staged`.
    """
    if create_pr:
        raise UserError("found True", field="create_pr", accepted="False; revision='a-branch' keeps main as it is")
    if token is False:
        raise UserError("found False, and nobody may write without one", field="token", accepted=TOKEN_HINT)
    repo_id = own_repo_id(HfApi(token=token), repo_id)  # the card's snippet needs the owner's name
    source, kind = model.config.name_or_path, input_kind_of(model.config)
    if tokenizer is None and source:
        loaded_from = model.config.loaded_from  # at a revision, perhaps
        try:
            tokenizer = kind.load_processor(
                loaded_from["path_or_repo_id"], revision=loaded_from.get("revision"), token=token
            )
        except UserError as error:
            logger.warning(f"The model goes without its {kind.processor_noun}: {error}")
    with staging_folder() as staged:
        folder = _source_folder(model.config, token) if source else None
        stage_loaded(model, tokenizer, staged, repo_id=repo_id, folder=folder, max_shard_size=max_shard_size or "50GB")
        add_metadata(
            staged / CARD, tags=[*(model.model_tags or []), *([tags] if isinstance(tags, str) else tags or [])]
        )
        return upload_staged(
            staged,
            repo_id,
            private=private,
            token=token,
            revision=revision,
            commit_message=commit_message,
            commit_description=commit_description,
        ).commit


def _source_folder(config: MultiLabelConfig, token: str | bool | None) -> Path | None:
    """The folder that a model was loaded from; of a Hub repository the commit's in the cache, with what is known of the model
    fetched into it."""
    source, where = config.name_or_path, config.loaded_from
    if Path(source).is_dir():
        return Path(source)
    loaded = Path(where["path_or_repo_id"])  # `load_model` opens the cache's folder, which the commit gives its name
    subfolder = where.get("subfolder", "")
    try:
        # the weights are there since they were loaded, unless the branch has moved on
        folder = snapshot_download(
            source,
            revision=where.get("revision") or (loaded.name if loaded.is_dir() else None),
            cache_dir=where.get("cache_dir"),
            token=token,
            allow_patterns=[Path(subfolder, name).as_posix() for name in _FACTS],
        )
    except (HTTPError, OSError, OfflineModeIsEnabled, HFValidationError) as error:
        found = hub_problem(error)
        problem = found.problem if found else first_line(error)
        logger.warning(f"The model goes without results and README.md of {source}: {problem}")
        return None
    return Path(folder, subfolder)


def add_metadata(card: Path, *, tags: list[str], **values: str | list[str] | None) -> None:
    """Adds to a card's metadata, as its user might by hand; what is empty is passed over.

    Args:
        card (`Path`): the card's file.
        tags (`list[str]`): tags to have besides those that are there.
        values (`str` or `list[str]`): other keys.
    """
    metadata = metadata_load(card) or {}
    there = metadata.get("tags") or []
    changed = metadata | {name: value for name, value in values.items() if value}
    if new := [tag for tag in dict.fromkeys(tags) if tag not in there]:
        changed["tags"] = [*there, *new]
    if changed != metadata:
        metadata_save(card, changed)
