"""Pictures: opened, prepared for a model, put into batches; COCO's annotations read; pictures drawn for trying things out.

Nothing here imports Pillow before a picture is opened: whoever labels texts does without (`pip install "hf_mlc[images]"`).
"""
