"""Part of `MultiLabelModelTesterMixin`: a saved folder opens in a process that has only it, with our package or without.

The fixtures `with_package` and `without_package` (conftest.py) are what one process of each kind reported of the folders
of all testers.
"""

from __future__ import annotations


class FreshProcessTesterMixin:
    """Both ways to reach our code, and what is said when neither is open."""

    def test_importing_the_package_is_enough_for_the_auto_classes(self, tester, with_package):
        found = with_package[str(tester)]
        assert with_package["hf_mlc loaded"]
        assert found["config"] == tester.config_class.__name__
        # our own class, not the copy beside the weights
        assert found["module"] == tester.model_class.__module__
        for auto in tester.model_class.auto_classes:
            assert found[auto] < 1e-6
            assert found[f"{auto} plain"] == "opened"

    def test_without_the_package_the_folder_brings_its_own_code(self, tester, without_package):
        found = without_package[str(tester)]
        assert not without_package["hf_mlc loaded"]
        assert found["config"] == tester.config_class.__name__
        assert found["module"].startswith("transformers_modules.")
        for auto in tester.model_class.auto_classes:
            assert found[auto] < 1e-6

    def test_without_package_and_without_trust_the_error_says_what_to_do(self, tester, without_package):
        for auto in tester.model_class.auto_classes:
            message = without_package[str(tester)][f"{auto} plain"]
            assert message.startswith("ValueError")
            assert "trust_remote_code=True" in message
