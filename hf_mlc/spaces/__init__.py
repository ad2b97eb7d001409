"""A Space: a Gradio app for one model, as a folder and on the Hub."""

from hf_mlc.spaces.pushing import push_space
from hf_mlc.spaces.source import ModelSource, read_source
from hf_mlc.spaces.writing import space_files, write_space


__all__ = ["ModelSource", "push_space", "read_source", "space_files", "write_space"]
