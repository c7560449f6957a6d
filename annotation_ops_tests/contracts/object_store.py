"""What every object store must do."""

import threading

import pytest

from annotation_ops.domain.errors import InvalidInput, NotFound, UnsafeInput
from annotation_ops.ports.object_store import ObjectStore

KEYS = ("a-b.txt", "a.txt", "a/b.txt", "a/c/d.txt", "a0.txt", "b.txt", "é.txt")


class ObjectStoreContract:
    """Subclasses give `store`: an empty store."""

    @pytest.fixture
    def store(self) -> ObjectStore:
        raise NotImplementedError

    def test_what_was_put_is_read(self, store: ObjectStore) -> None:
        put = store.put("2026-11-23/a.png", b"bytes", metadata={"scanner": "a"})

        info, metadata = store.head("2026-11-23/a.png")
        assert store.read("2026-11-23/a.png", max_bytes=5) == b"bytes"
        assert (info.key, info.size, metadata) == ("2026-11-23/a.png", 5, {"scanner": "a"})
        assert info == put
        assert info.modified_at.tzinfo is not None

    @pytest.mark.parametrize("key", [*KEYS, "a/50%.txt", "a/b c#d?e.txt"])
    def test_an_address_leads_back_to_its_key(self, store: ObjectStore, key: str) -> None:
        assert store.key_of(store.uri(key)) == key

    @pytest.mark.parametrize("uri", ["file:///etc/passwd", "s3://somebody-elses/a.txt", "a.txt", ""])
    def test_an_address_elsewhere_is_refused(self, store: ObjectStore, uri: str) -> None:
        with pytest.raises(InvalidInput, match="found an address elsewhere"):
            store.key_of(uri)

    def test_a_listing_is_in_bytewise_key_order(self, store: ObjectStore) -> None:
        for key in reversed(KEYS):
            store.put(key, b"x")

        assert [info.key for info in store.list()] == sorted(KEYS, key=str.encode)

    @pytest.mark.parametrize("prefix", ["", "a", "a/", "a/c", "a/c/d.txt", "nothing/"])
    def test_a_prefix_selects_keys_that_start_with_it(self, store: ObjectStore, prefix: str) -> None:
        for key in KEYS:
            store.put(key, b"x")

        listed = [info.key for info in store.list(prefix)]
        assert listed == sorted((key for key in KEYS if key.startswith(prefix)), key=str.encode)

    def test_a_listing_goes_on_after_a_key(self, store: ObjectStore) -> None:
        for key in KEYS:
            store.put(key, b"x", metadata={"n": "1"})
        every = [info.key for info in store.list()]

        for at, key in enumerate(every):
            assert [info.key for info in store.list(start_after=key)] == every[at + 1 :]

    def test_listing_and_head_agree_on_the_etag(self, store: ObjectStore) -> None:
        store.put("a.png", b"x", metadata={"n": "1"})
        store.put("b.png", b"x")
        store.put("b.png.json", b'{"n": 2}')

        assert [info.etag for info in store.list()] == [store.head(key)[0].etag for key in ("a.png", "b.png")]

    def test_new_bytes_change_the_etag(self, store: ObjectStore) -> None:
        first = store.put("a.png", b"one")

        assert store.put("a.png", b"two").etag != first.etag

    def test_a_sidecar_describes_its_object_and_is_not_one(self, store: ObjectStore) -> None:
        store.put("a.png", b"x")
        bare = store.head("a.png")[0]
        store.put("a.png.json", b'{"scanner": "b", "page": 3, "blank": null}')
        store.put("alone.json", b"{}")

        info, metadata = store.head("a.png")
        assert metadata == {"scanner": "b", "page": "3"}
        assert info.etag != bare.etag, "a late sidecar must make the object look changed"
        assert [info.key for info in store.list()] == ["a.png", "alone.json"]

    def test_a_sidecar_wins_over_metadata_put_with_the_object(self, store: ObjectStore) -> None:
        store.put("a.png", b"x", metadata={"scanner": "a"})
        store.put("a.png.json", b'{"scanner": "b"}')

        assert store.head("a.png")[1] == {"scanner": "b"}

    def test_metadata_put_later_replace_a_sidecar(self, store: ObjectStore) -> None:
        store.put("a.png.json", b'{"scanner": "b"}')
        store.put("a.png", b"x", metadata={"scanner": "c"})

        assert store.head("a.png")[1] == {"scanner": "c"}

    def test_a_sidecar_put_before_its_object_is_kept(self, store: ObjectStore) -> None:
        store.put("a.png.json", b'{"scanner": "b"}')
        store.put("a.png", b"x")

        assert store.head("a.png")[1] == {"scanner": "b"}

    @pytest.mark.parametrize("start", [("a.png.j", None), ("", "a.png"), ("", "a.png-z")])
    def test_a_sidecar_stays_hidden_when_the_listing_starts_behind_its_object(
        self, store: ObjectStore, start: tuple[str, str | None]
    ) -> None:
        for key in ("a.png", "a.png-z", "a.png.json"):
            store.put(key, b"{}")
        prefix, start_after = start

        assert "a.png.json" not in [info.key for info in store.list(prefix, start_after=start_after)]

    def test_the_sidecar_of_a_sidecar_is_an_object(self, store: ObjectStore) -> None:
        for key in ("a.png", "a.png.json", "a.png.json.json"):
            store.put(key, b"{}")

        assert [info.key for info in store.list()] == ["a.png", "a.png.json.json"]

    def test_a_malformed_sidecar_is_reported_not_ignored(self, store: ObjectStore) -> None:
        store.put("a.png", b"x")
        store.put("a.png.json", b'{"scanner": "a", "scanner": "b"}')

        with pytest.raises(InvalidInput, match="twice"):
            store.head("a.png")

    def test_what_does_not_exist_is_not_found(self, store: ObjectStore) -> None:
        with pytest.raises(NotFound):
            store.head("none.png")
        with pytest.raises(NotFound):
            store.read("none.png", max_bytes=10)
        assert list(store.list("none")) == []

    def test_a_larger_object_than_allowed_is_not_read(self, store: ObjectStore) -> None:
        store.put("big.bin", b"x" * 11)

        with pytest.raises(UnsafeInput, match="at most 10"):
            store.read("big.bin", max_bytes=10)

    def test_a_reader_never_sees_half_a_put(self, store: ObjectStore) -> None:
        bodies = {bytes([letter]) * 200_000 for letter in b"abcd"}
        store.put("a.bin", min(bodies))
        writer = threading.Thread(target=lambda: [store.put("a.bin", body) for body in sorted(bodies) * 3])
        writer.start()

        seen = {store.read("a.bin", max_bytes=1_000_000) for _ in range(20)}
        writer.join()
        assert seen <= bodies
