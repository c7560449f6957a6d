import os
import socket
from pathlib import Path

import pytest

from annotation_ops.adapters.storage.local_folder import LocalFolder
from annotation_ops.domain.errors import NotFound, UnsafeInput
from annotation_ops.ports.object_store import ObjectStore
from annotation_ops_tests.contracts.object_store import ObjectStoreContract


class TestLocalFolder(ObjectStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        (tmp_path / "root").mkdir()
        (tmp_path / "secret.txt").write_text("secret")
        return LocalFolder(tmp_path / "root")

    @pytest.mark.parametrize(
        "key", ["../secret.txt", "a/../../secret.txt", "/etc/passwd", "", "a//b", "./a", "a\0b", "a/"]
    )
    def test_keys_that_climb_or_hide_are_refused(self, store: ObjectStore, key: str, tmp_path: Path) -> None:
        for action in (
            lambda: store.read(key, max_bytes=10_000),
            lambda: store.head(key),
            lambda: store.put(key, b"overwritten"),
            lambda: store.uri(key),
        ):
            with pytest.raises(UnsafeInput):
                action()
        assert (tmp_path / "secret.txt").read_text() == "secret"

    def test_a_prefix_cannot_list_outside_the_root(self, store: ObjectStore) -> None:
        with pytest.raises(UnsafeInput):
            list(store.list("../"))

    def test_links_out_of_the_root_are_listed_but_never_followed(self, store: ObjectStore, tmp_path: Path) -> None:
        (tmp_path / "root/file.txt").symlink_to(tmp_path / "secret.txt")
        (tmp_path / "root/folder").symlink_to(tmp_path)

        assert [info.key for info in store.list()] == ["file.txt", "folder"]
        for key in ("file.txt", "folder/secret.txt"):
            with pytest.raises(UnsafeInput, match="link out of"):
                store.read(key, max_bytes=100)
        with pytest.raises(UnsafeInput, match="link out of"):
            store.put("folder/new.txt", b"x")

    def test_a_link_within_the_root_is_an_object(self, store: ObjectStore, tmp_path: Path) -> None:
        store.put("a.txt", b"x")
        (tmp_path / "root/b.txt").symlink_to(tmp_path / "root/a.txt")

        assert store.read("b.txt", max_bytes=1) == b"x"

    def test_pipes_sockets_folders_and_loops_neither_block_nor_pass(self, store: ObjectStore, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "root/pipe")
        (tmp_path / "root/loop").symlink_to("loop")
        (tmp_path / "root/folder").mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "root/s"))

        for key in ("pipe", "loop", "folder", "s"):
            with pytest.raises((UnsafeInput, NotFound)):
                store.read(key, max_bytes=1)

    def test_put_over_a_link_replaces_the_link_not_its_target(self, store: ObjectStore, tmp_path: Path) -> None:
        (tmp_path / "root/a.txt").symlink_to(tmp_path / "secret.txt")

        store.put("a.txt", b"mine")

        assert (tmp_path / "secret.txt").read_text() == "secret"
        assert store.read("a.txt", max_bytes=10) == b"mine"

    def test_a_put_that_fails_leaves_nothing_behind(self, store: ObjectStore, tmp_path: Path) -> None:
        (tmp_path / "root/a.txt").mkdir()

        with pytest.raises(NotFound):
            store.put("a.txt", b"x")

        assert [path.name for path in (tmp_path / "root").iterdir()] == ["a.txt"]

    def test_names_that_are_not_utf8_are_listed(self, store: ObjectStore, tmp_path: Path) -> None:
        (Path(os.fsdecode(os.fsencode(tmp_path / "root") + b"/\xff.png"))).write_bytes(b"x")

        assert [info.key for info in store.list()] == ["\udcff.png"]

    def test_the_uri_is_a_file_uri(self, store: ObjectStore, tmp_path: Path) -> None:
        assert store.uri("a b/é.png") == f"file://{tmp_path}/root/a%20b/%C3%A9.png"
