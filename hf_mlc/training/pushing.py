"""The Trainer's ways to the Hub: each publishes a staged model (docs/hub.md), and none anything else."""

from __future__ import annotations

import json
import shutil
import tempfile
from concurrent.futures import Future
from pathlib import Path

from huggingface_hub import CommitInfo, HfApi
from transformers import Trainer
from transformers.trainer_utils import HubStrategy, SaveStrategy
from transformers.utils import logging
from transformers.utils.hub import PushInProgress

from hf_mlc.errors import UserError
from hf_mlc.files import written_whole
from hf_mlc.folder_files import RESULTS_FILE
from hf_mlc.training.results import run_results


logger = logging.get_logger(__name__)


class PushingTrainer(Trainer):
    """`transformers.Trainer` that publishes what `hf-mlc publish` would, and writes our model card.

    transformers uploads everything in `output_dir` but checkpoints, and with some strategies checkpoints too, optimizer
    states and pickles among them. Here every push stages the model first. The strategies differ in when they push:

    - `"end"`: when [`~PushingTrainer.push_to_hub`] is called, as `train` does at its end;
    - `"every_save"`, `"checkpoint"`: also each time a checkpoint was saved, unless the push before is still going on;
    - `"all_checkpoints"`: the same, and none is left out; each is a commit, to be loaded by its `revision`.

    What is needed to resume a run (optimizer, random states) stays in `output_dir`, whatever the strategy.
    """

    # whether results.json in `output_dir` is of this run, written by whoever made the trainer
    has_results = False

    # publishing stands on the table of architectures, and that on the trainers: it is imported when a push comes

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Makes `args.hub_model_id` on the Hub, or sees that what is there may be updated: before training, not after.

        Args:
            token (`str`, *optional*): a token that may write; `args.hub_token` if not given.
            private (`bool`, *optional*): whether a new repository is private; `args.hub_private_repo` if not given.

        Raises:
            `UserError`: see `hf_mlc.publishing.open_repository`; or no tokenizer to publish with the model.
        """
        from hf_mlc.cards import check_installed
        from hf_mlc.publishing import open_repository

        if not self.is_world_process_zero():
            return
        if self.processing_class is None:
            raise UserError("no tokenizer to publish", field="processing_class", accepted="the tokenizer")
        check_installed()
        repository = open_repository(
            HfApi(token=token or self.args.hub_token),
            self.args.hub_model_id or Path(self.args.output_dir).absolute().name,
            model_type=self.model.config.model_type,
            private=self.args.hub_private_repo if private is None else private,
            revision=self.args.hub_revision,
        )
        self.hub_model_id = repository.repo_id
        self.push_in_progress = None
        if self.args.hub_strategy in (HubStrategy.CHECKPOINT, HubStrategy.ALL_CHECKPOINTS):
            logger.warning(
                f"hub_strategy={self.args.hub_strategy.value}: models are pushed; what a run is resumed from stays in "
                f"{self.args.output_dir}"
            )

    def create_model_card(
        self,
        language: str | list[str] | None = None,
        license: str | None = None,
        tags: str | list[str] | None = None,
        model_name: str | None = None,
        finetuned_from: str | None = None,
        tasks: str | list[str] | None = None,
        dataset_tags: str | list[str] | None = None,
        dataset: str | list[str] | None = None,
        dataset_args: str | list[str] | None = None,
    ) -> None:
        """Writes our card (docs/cards.md) to `output_dir`; a README.md of the user's that is there keeps its words.

        Without a results.json of this run in `output_dir` one is written first, from what the trainer has seen.

        Args:
            language (`str` or `list[str]`, *optional*): ISO 639 codes.
            license (`str`, *optional*): an id of the Hub.
            tags (`str` or `list[str]`, *optional*): besides those that follow from the model.
            finetuned_from (`str`, *optional*): Hub id of the base model.
            dataset_tags (`str` or `list[str]`, *optional*): Hub ids of data sets.
            model_name, tasks, dataset, dataset_args:
                taken for the sake of transformers' signature and not used: the card has them from the run.
        """
        from hf_mlc.cards import write_card
        from hf_mlc.publishing.pushing import add_metadata

        if not self.is_world_process_zero():
            return
        folder = Path(self.args.output_dir)
        if not self.has_results and self.state.log_history:
            with written_whole(folder / RESULTS_FILE) as stream:
                json.dump(run_results(self), stream, indent=2)
        card = write_card(folder, repo_id=self.hub_model_id)
        add_metadata(
            card,
            tags=_list(tags),
            language=language,
            license=license,
            base_model=finetuned_from,
            datasets=_list(dataset_tags),
        )

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **kwargs,
    ) -> CommitInfo | Future[CommitInfo] | None:
        """Saves model and tokenizer to `output_dir`, writes the card there, and publishes them.

        Args:
            commit_message (`str`, *optional*, defaults to `"End of training"`): the commit's title.
            blocking (`bool`, *optional*, defaults to `True`): return when all is done.
            token (`str`, *optional*): a token that may write; `args.hub_token` if not given.
            revision (`str`, *optional*): a branch; `args.hub_revision` if not given.
            private (`bool`, *optional*): whether a new repository is private; `args.hub_private_repo` if not given.
            kwargs: for [`~PushingTrainer.create_model_card`].

        Returns:
            `CommitInfo`, or its future without `blocking`; `None` on other processes than the first.
        """
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        token = token or self.args.hub_token
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        self.save_model(_internal_call=True)  # on all processes
        if not self.is_world_process_zero():
            return None
        self.create_model_card(**kwargs)
        self._finish_current_push()
        return self._publish(
            Path(self.args.output_dir),
            commit_message,
            token=token,
            private=private,
            revision=revision,
            card=False,
            blocking=blocking,
        )

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Publishes the model of a checkpoint, without waiting for the upload."""
        args = self.args
        if not self.is_world_process_zero() or args.hub_strategy == HubStrategy.END:
            return
        always = args.hub_always_push or args.hub_strategy == HubStrategy.ALL_CHECKPOINTS
        if not always and self.push_in_progress is not None and not self.push_in_progress.is_done():
            return
        self.callback_handler.on_push_begin(args, self.state, self.control)
        by_steps = args.save_strategy == SaveStrategy.STEPS
        progress = f"step {self.state.global_step}" if by_steps else f"epoch {int(self.state.epoch)}"
        job = self._publish(
            Path(checkpoint_folder),
            f"Training in progress, {progress}",
            token=args.hub_token,
            card=True,  # one without numbers: those of an earlier publication would be another model's
            blocking=False,
        )
        job.add_done_callback(_warn_of_failure)
        if self.push_in_progress is None or self.push_in_progress.is_done():
            self.push_in_progress = PushInProgress([job])
        else:
            self.push_in_progress.jobs.append(job)

    def _publish(
        self,
        folder: Path,
        commit_message: str | None,
        *,
        token: str | None,
        private: bool | None = None,
        revision: str | None = None,
        card: bool,
        blocking: bool,
    ) -> CommitInfo | Future[CommitInfo]:
        """Stages the model in `folder`, which may be gone a moment later, and uploads it now or in the background."""
        from hf_mlc.publishing import stage_model, upload_staged

        staged = Path(tempfile.mkdtemp())
        try:
            stage_model(folder, staged, repo_id=self.hub_model_id, card=card, run_snippet=False)
        except BaseException:
            shutil.rmtree(staged)
            raise

        def upload() -> CommitInfo:
            try:
                return upload_staged(
                    staged,
                    self.hub_model_id,
                    token=token,
                    # a repository that is no longer there is not made anew for all to see
                    private=self.args.hub_private_repo if private is None else private,
                    revision=revision or self.args.hub_revision,
                    commit_message=commit_message,
                ).commit
            finally:
                shutil.rmtree(staged)

        return upload() if blocking else HfApi().run_as_future(upload)


def _warn_of_failure(job: Future) -> None:
    """A push in the background that failed doesn't end the training: the next one uploads everything again."""
    if job.exception() is not None:
        logger.warning(f"a checkpoint was not pushed: {job.exception()}")


def _list(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])
