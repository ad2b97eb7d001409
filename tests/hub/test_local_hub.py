"""The local Hub of the tests, against the `huggingface_hub` client as it comes."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    constants,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session

from tests.hub.conftest import run_python
from tests.local_hub import LocalHub
from tests.local_hub.store import belongs_in_lfs, git_oid


FOLDER = {
    "README.md": b"---\nlicense: mit\n---\n# a model\n",
    "config.json": b'{"model_type": "plant"}',
    "model.safetensors": bytes(range(256)) * 40,
    "plots/curve.png": b"\x89PNG\r\n\x1a\n\0\0 pretend",
}


@pytest.fixture
def api(local_hub, monkeypatch, tmp_path):
    """The client, with a write token and a cache of its own."""
    # read from the environment when the library was imported; the rest of the tests have no Hub
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return HfApi(endpoint=local_hub.url, token=local_hub.token)


@pytest.fixture
def folder(tmp_path):
    """The folder that goes up."""
    for name, content in FOLDER.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "folder"


def upload(api: HfApi, folder: Path, repo_id: str = "org/model", repo_type: str = "model", **more) -> str:
    """Puts the folder there; the hash of the newest commit."""
    sdk = {"space_sdk": "static"} if repo_type == "space" else {}
    api.create_repo(repo_id, repo_type=repo_type, exist_ok=True, **sdk, **more)
    return api.upload_folder(repo_id=repo_id, repo_type=repo_type, folder_path=folder).oid


@pytest.fixture
def uploaded(api, folder):
    """The hash of the folder's commit in org/model."""
    return upload(api, folder)


def download(api: HfApi, name: str, repo_id: str = "org/model", **more) -> bytes:
    """A file's content, from a cache that has nothing yet."""
    with tempfile.TemporaryDirectory() as cache:
        more = {"endpoint": api.endpoint, "token": api.token, "cache_dir": cache, **more}
        return Path(hf_hub_download(repo_id, name, **more)).read_bytes()


def statuses(hub: LocalHub, ending: str, method: str | None = None) -> list[int]:
    """What was answered to the requests of an address."""
    return [r.status for r in hub.requests if r.path.endswith(ending) and method in (None, r.method)]


# -- up and down


@pytest.mark.parametrize("repo_type", ["model", "dataset", "space"])
def test_a_folder_goes_up_and_comes_back_as_it_was(local_hub, api, folder, repo_type):
    if repo_type == "space":
        (folder / "README.md").write_text("---\nsdk: static\n---\n", encoding="utf-8")
    upload(api, folder, "org/thing", repo_type)
    expected = {name: (folder / name).read_bytes() for name in FOLDER}
    assert local_hub.files("org/thing", repo_type=repo_type) == expected
    assert local_hub.commits("org/thing", repo_type=repo_type)[1:] == ["initial commit"]

    down = Path(snapshot_download("org/thing", repo_type=repo_type, endpoint=api.endpoint, token=api.token))
    assert {name: (down / name).read_bytes() for name in FOLDER} == expected


def test_weights_go_to_lfs_and_text_into_the_commit(local_hub, uploaded):
    repo = local_hub.repo("org/model")
    in_lfs = {path for path, stored in repo.files_at(uploaded).items() if stored.sha256}
    assert in_lfs == {"model.safetensors", "plots/curve.png"}
    assert [request.status for request in local_hub.requests if request.path.startswith("/lfs/")] == [200, 200]
    assert belongs_in_lfs("a/b.parquet", 10, b"PAR1") and belongs_in_lfs("m.onnx", 10, b"\x08")
    assert not belongs_in_lfs("labels.json", 10, b"{}") and belongs_in_lfs("labels.json", 11 * 2**20, b"{}")
    # as `echo -n hello | git hash-object --stdin` prints it
    assert git_oid(b"hello") == "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"


def test_uploading_the_same_again_makes_no_commit(local_hub, api, folder, uploaded):
    local_hub.requests.clear()
    assert upload(api, folder) == uploaded
    assert statuses(local_hub, "/commit/main") == []
    assert not [path for _, path, _ in local_hub.requests if path.startswith("/lfs/")]
    assert len(local_hub.commits("org/model")) == 2


def test_an_update_sends_what_changed_and_the_earlier_commit_stays_readable(local_hub, api, folder, uploaded):
    (folder / "config.json").write_bytes(b"{}")
    local_hub.requests.clear()
    assert upload(api, folder) != uploaded
    assert not [path for _, path, _ in local_hub.requests if path.startswith("/lfs/")]
    assert local_hub.files("org/model") == {**FOLDER, "config.json": b"{}"}
    assert local_hub.files("org/model", uploaded) == FOLDER
    assert download(api, "config.json") == b"{}"
    assert download(api, "config.json", revision=uploaded) == FOLDER["config.json"]


def test_a_new_server_on_the_same_folder_goes_on_where_the_last_one_ended(local_hub, uploaded, tmp_path):
    with LocalHub(tmp_path / "hub") as again:
        assert again.url != local_hub.url
        assert again.files("org/model") == FOLDER
    with pytest.raises(KeyError, match="org/nothing"):
        local_hub.files("org/nothing")


def test_what_is_put_without_a_client_is_what_clients_find(local_hub, api, folder):
    first = local_hub.put("org/model", folder, private=True)
    assert upload(api, folder) == first  # a no-op
    local_hub.put("org/model", {"config.json": b"{}"})
    assert local_hub.files("org/model") == {"config.json": b"{}"}
    assert local_hub.commits("org/model") == ["put", "put", "initial commit"]
    assert download(api, "model.safetensors", revision=first) == FOLDER["model.safetensors"]


# -- revisions


def test_branches_and_tags(api, uploaded):
    api.create_branch("org/model", branch="dev/one")
    api.create_tag("org/model", tag="v1")
    change = [CommitOperationAdd("config.json", b"{}")]
    on_dev = api.create_commit("org/model", change, commit_message="on dev", revision="dev/one").oid
    refs = api.list_repo_refs("org/model")
    assert {ref.name: ref.target_commit for ref in refs.branches} == {"main": uploaded, "dev/one": on_dev}
    assert {ref.name: ref.target_commit for ref in refs.tags} == {"v1": uploaded}
    assert [download(api, "config.json", revision=r) for r in ("main", "v1", "dev/one")] == [
        FOLDER["config.json"],
        FOLDER["config.json"],
        b"{}",
    ]
    titles = [commit.title for commit in api.list_repo_commits("org/model", revision="dev/one")]
    assert titles == ["on dev", "Upload folder using huggingface_hub", "initial commit"]
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_branch("org/model", branch="dev/one")
    api.create_branch("org/model", branch="dev/one", exist_ok=True)
    with pytest.raises(HfHubHTTPError, match="v1 is no branch"):
        api.create_commit("org/model", [CommitOperationAdd("a", b"a")], commit_message="to a tag", revision="v1")

    api.delete_branch("org/model", branch="dev/one")
    api.delete_tag("org/model", tag="v1")
    for revision in ("dev/one", "v1", "never"):
        with pytest.raises(RevisionNotFoundError):
            api.model_info("org/model", revision=revision)
        with pytest.raises(RevisionNotFoundError):
            download(api, "config.json", revision=revision)


def test_a_commit_happens_whole_or_not_at_all(local_hub, api, uploaded):
    first = api.list_repo_commits("org/model")[-1].commit_id
    change = [CommitOperationAdd("new.txt", b"new"), CommitOperationDelete("plots/")]
    with pytest.raises(RemoteEntryNotFoundError, match="A file with this name doesn't exist"):
        api.create_commit("org/model", [*change, CommitOperationDelete("none")], commit_message="half")
    with pytest.raises(HfHubHTTPError, match="A commit has happened since"):
        api.create_commit("org/model", change[:1], commit_message="late", parent_commit=first)
    assert local_hub.files("org/model") == FOLDER

    api.create_commit("org/model", change, commit_message="whole")
    assert local_hub.commits("org/model")[:2] == ["whole", "Upload folder using huggingface_hub"]
    assert set(local_hub.files("org/model")) == {"README.md", "config.json", "model.safetensors", "new.txt"}

    request = api.create_commit("org/model", [CommitOperationAdd("b", b"b")], commit_message="b", create_pr=True)
    assert request.pr_revision == "refs/pr/1"
    assert "b" in local_hub.files("org/model", "refs/pr/1") and "b" not in local_hub.files("org/model")


def test_listing_and_parts_of_files(local_hub, api, uploaded):
    files = HfFileSystem(endpoint=api.endpoint, token=api.token)
    with files.open("org/model/model.safetensors", block_size=16) as file:
        file.seek(300)
        assert list(file.read(5)) == [44, 45, 46, 47, 48]  # bytes 300 to 304 of 0 1 2 ... 255 0 1 ...
    assert statuses(local_hub, "model.safetensors", "GET") == [206]
    own = [".gitattributes", "README.md", "config.json", "model.safetensors", "plots"]
    assert sorted(files.ls("org/model", detail=False)) == [f"org/model/{name}" for name in own]
    assert files.glob("org/model/**/*.png") == ["org/model/plots/curve.png"]

    tree = api.list_repo_tree("org/model", recursive=True)
    assert sorted(entry.path for entry in tree) == [*own, "plots/curve.png"]
    with pytest.raises(RemoteEntryNotFoundError):
        list(api.list_repo_tree("org/model", "none"))
    paths = api.get_paths_info("org/model", ["plots", "config.json", "none"], expand=True)
    assert [(entry.path, entry.last_commit.oid) for entry in paths] == [("plots", uploaded), ("config.json", uploaded)]

    with pytest.raises(RemoteEntryNotFoundError):
        download(api, "none.json")
    info = api.model_info("org/model", files_metadata=True)
    assert info.card_data.license == "mit" and info.config == {"model_type": "plant"}
    assert {file.rfilename: file.size for file in info.siblings}["model.safetensors"] == 256 * 40


# -- rights


def test_who_may_do_what(local_hub, api, folder, uploaded):
    upload(api, folder, "org/private", private=True)
    upload(api, folder, "org/gated")
    upload(api, folder, "org/doomed")
    api.update_repo_settings("org/gated", gated="auto")
    unseen, refused, forbidden = (RepositoryNotFoundError, 401), (HfHubHTTPError, 401), (HfHubHTTPError, 403)

    def attempts(name: str, token: str | bool) -> list:
        change = [CommitOperationAdd("who.txt", name.encode())]
        return [
            outcome(lambda: api.model_info("org/model", token=token).id),
            outcome(lambda: api.model_info("org/private", token=token).id),
            outcome(lambda: download(api, "config.json", "org/gated", token=token) == FOLDER["config.json"]),
            outcome(lambda: api.whoami(token=token or None)["name"]),
            outcome(lambda: api.create_commit("org/model", change, commit_message=name, token=token).commit_message),
            outcome(lambda: api.create_repo(f"org/{name}", token=token).repo_id),
            outcome(lambda: api.delete_repo("org/doomed", token=token)),
        ]

    def outcome(call):
        try:
            return call()
        except HfHubHTTPError as error:
            return type(error), error.response.status_code

    without = attempts("nobody", False)
    assert without[:3] == ["org/model", unseen, (GatedRepoError, 401)]
    assert without[4:] == [refused] * 3
    assert attempts("wrong", local_hub.wrong_token) == [refused] * 7
    assert attempts("other", local_hub.other_token) == [
        "org/model",
        (RepositoryNotFoundError, 404),
        (GatedRepoError, 403),
        "somebody",
        *[forbidden] * 3,
    ]
    may_read = ["org/model", "org/private", True, "org"]
    assert attempts("reader", local_hub.read_token) == [*may_read, *[forbidden] * 3]
    assert attempts("owner", local_hub.token) == [*may_read, "owner", "org/owner", None]
    assert local_hub.commits("org/model")[0] == "owner" and len(local_hub.commits("org/model")) == 3


def test_no_request_leads_out_of_the_folder(local_hub, api, uploaded, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "repo.json").write_text("{}", encoding="utf-8")
    outside = "..%2f..%2f..%2f..%2foutside"
    headers = {"Authorization": f"Bearer {local_hub.token}"}

    def status(method: str, path: str, **more) -> int:
        return get_session().request(method, f"{local_hub.url}{path}", headers=headers, **more).status_code

    assert status("GET", f"/api/models/org/{outside}") == 400
    assert status("GET", f"/org/{outside}/resolve/main/repo.json") == 400
    assert status("POST", "/api/repos/create", json={"name": "../../../../new"}) == 400
    assert status("POST", "/api/repos/create", json={"name": "new", "type": "../../model"}) == 400
    assert not (tmp_path / "new").exists()

    away = "../../outside/repo.json"
    lines = [{"key": "header", "value": {"summary": "a"}}, {"key": "lfsFile", "value": {"path": "a", "oid": away}}]
    body = "\n".join(map(json.dumps, lines)).encode()
    assert status("POST", "/api/models/org/model/commit/main", content=body) == 400
    batch = get_session().post(
        f"{local_hub.url}/org/model.git/info/lfs/objects/batch",
        headers=headers,
        json={"objects": [{"oid": away, "size": 2}]},
    )
    assert "upload" in batch.json()["objects"][0]["actions"]  # it is not there, whatever lies there
    assert local_hub.files("org/model") == FOLDER


def test_a_repository_is_made_once_and_can_be_made_private(local_hub, api, uploaded):
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo("org/model")
    assert api.create_repo("org/model", exist_ok=True) == f"{local_hub.url}/org/model"
    api.auth_check("org/model", token=local_hub.other_token)
    api.update_repo_settings("org/model", private=True)
    with pytest.raises(RepositoryNotFoundError):
        api.auth_check("org/model", token=local_hub.other_token)


def test_a_bad_card_stops_the_upload(local_hub, api, folder, uploaded):
    (folder / "README.md").write_text("---\nlicense: mine\n---\n", encoding="utf-8")
    local_hub.requests.clear()
    with pytest.raises(ValueError, match='"license" must be one of'):
        upload(api, folder)
    assert statuses(local_hub, "/api/validate-yaml") == [400]
    assert len(local_hub.commits("org/model")) == 2


# -- faults


def test_faults_come_when_and_as_often_as_ordered(local_hub):
    local_hub.fail("info", "500", times=2, after=1)
    local_hub.fail("info", "429", times=1)
    kinds = [fault and fault.kind for fault in (local_hub.faults.next("info") for _ in range(5))]
    # the first order lets one pass, which the second takes; then its own two
    assert kinds == ["429", "500", "500", None, None]
    assert local_hub.faults.next("commit") is None
    local_hub.fail("info", "drop", times=None)
    assert local_hub.faults.next("info") is local_hub.faults.next("info")
    local_hub.repair()
    assert local_hub.faults.next("info") is None
    with pytest.raises(ValueError, match="no such fault"):
        local_hub.fail("comit", "drop")
    with pytest.raises(ValueError, match="no such fault"):
        local_hub.fail("commit", "dorp")


# the client tries some requests again by itself, and gives up on others at once
@pytest.mark.parametrize(
    ("route", "kind", "raised", "found"),
    [
        ("create", "500", "500", ("/create", [500, 200])),
        ("validate_yaml", "drop", "disconnected", ("/validate-yaml", [0, 200])),
        ("preupload", "429", None, ("/preupload/main", [429, 200])),
        ("lfs_batch", "500", None, ("/objects/batch", [500, 200])),
        ("commit", "drop", "disconnected", ("/commit/main", [0, 200])),
        ("commit", "500", "500", ("/commit/main", [500, 200])),
        ("commit", "drop_after", "disconnected", ("/commit/main", [0])),
    ],
)
def test_an_upload_that_meets_a_fault_can_be_run_again(local_hub, api, folder, route, kind, raised, found):
    local_hub.fail(route, kind)
    if raised is not None:
        with pytest.raises(Exception, match=raised):
            upload(api, folder)
    upload(api, folder)
    ending, answered = found
    assert statuses(local_hub, ending)[: len(answered)] == answered
    assert local_hub.files("org/model") == FOLDER
    # what lost only its answer had happened all the same: the second run finds nothing to do
    assert len(local_hub.commits("org/model")) == 2


def test_a_cut_put_is_sent_again(local_hub, api, folder):
    local_hub.fail("lfs_put", "drop")
    upload(api, folder)
    assert sorted(request.status for request in local_hub.requests if request.method == "PUT") == [0, 200, 200]
    assert local_hub.files("org/model") == FOLDER


@pytest.mark.parametrize(("kind", "answered"), [("drop", [0, 200]), ("429", [429, 200]), ("slow", [200])])
def test_a_download_gets_over_a_fault(local_hub, api, uploaded, kind, answered):
    local_hub.fail("resolve", kind, after=1, seconds=0.2)
    assert download(api, "model.safetensors") == FOLDER["model.safetensors"]
    assert statuses(local_hub, "model.safetensors", "GET") == answered


def test_a_slow_answer_is_slower_than_a_short_patience(local_hub, api, uploaded):
    local_hub.fail("resolve", "slow", seconds=30)
    with pytest.raises(Exception, match="timed out"):
        get_session().get(f"{local_hub.url}/org/model/resolve/main/config.json", timeout=0.2)


# -- processes


def test_a_process_has_this_hub_and_nothing_else(local_hub, tmp_path):
    snippet = """
import json, os, sys
from huggingface_hub import HfApi
from huggingface_hub.utils import get_session
try:
    get_session().get("https://example.invalid/b")
except Exception as error:
    secure = type(error).__name__
try:
    import hf_mlc
except ModuleNotFoundError:
    hf_mlc = None
plain = get_session().get("http://example.invalid/a").status_code
print(json.dumps([HfApi().whoami()["name"], plain, secure, bool(hf_mlc), os.getcwd(), sys.argv[1:]]))
"""
    result = run_python(local_hub, tmp_path / "home", snippet, "a", tmp_path, without_package=True)
    assert json.loads(result.stdout) == ["org", 403, "ProxyError", False, str(tmp_path / "home"), ["a", str(tmp_path)]]
    assert local_hub.strays == ["CONNECT example.invalid:443", "GET http://example.invalid/a"]
    assert local_hub.requests == [("GET", "/api/whoami-v2", 200)]
