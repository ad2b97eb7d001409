"""What of a model goes to the Hub, and how: an allow-list of files, in one commit."""

from hf_mlc.publishing.repository import open_repository, own_repo_id
from hf_mlc.publishing.staging import stage_loaded, stage_model, staging_folder
from hf_mlc.publishing.uploading import Published, upload_staged


__all__ = [
    "Published",
    "open_repository",
    "own_repo_id",
    "stage_loaded",
    "stage_model",
    "staging_folder",
    "upload_staged",
]
