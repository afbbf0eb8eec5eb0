"""Files of state and of brokers are readable by their owner only, also if they were not before."""

import os
import stat

import pytest

from pipeline.delivery.private_files import make_private, private_umask

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes of files are those of POSIX")


def modes(directory):
    found = {path.relative_to(directory).as_posix(): path for path in (directory, *directory.rglob("*"))}
    return {name: stat.S_IMODE(path.stat().st_mode) for name, path in found.items()}


def test_a_new_directory_is_private(tmp_path):
    make_private(tmp_path / "state", lambda _: True)
    assert modes(tmp_path / "state") == {".": 0o700}


def test_existing_entries_become_private(tmp_path):
    state = tmp_path / "state"
    (state / "v1" / "tables").mkdir(parents=True)
    (state / "v1" / "tables" / "000008.log").write_text("a user")
    (state / "v1" / "read-only").write_text("a user")
    state.chmod(0o755)
    (state / "v1").chmod(0o755)
    (state / "v1" / "tables").chmod(0o775)
    (state / "v1" / "tables" / "000008.log").chmod(0o664)
    (state / "v1" / "read-only").chmod(0o444)
    make_private(state, lambda name: name == "v1")
    assert modes(state) == {
        ".": 0o700,
        "v1": 0o700,
        "v1/tables": 0o700,
        "v1/tables/000008.log": 0o600,
        "v1/read-only": 0o400,
    }


def test_foreign_entries_and_a_directory_with_them_keep_their_rights(tmp_path):
    shared = tmp_path / "shared"
    (shared / "v1").mkdir(parents=True)
    (shared / "somebody's").write_text("x")
    outside = tmp_path / "outside"
    outside.write_text("x")
    (shared / "v1" / "link").symlink_to(outside)
    for path, mode in (
        (shared, 0o755),
        (shared / "v1", 0o755),
        (shared / "somebody's", 0o644),
        (outside, 0o644),
    ):
        path.chmod(mode)
    make_private(shared, lambda name: name == "v1")
    found = modes(shared)
    assert (found["."], found["v1"], found["somebody's"]) == (0o755, 0o700, 0o644)
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644, "no link leads out"


def test_files_created_in_the_block_are_private(tmp_path):
    with private_umask():
        (tmp_path / "file").write_text("x")
    assert modes(tmp_path)["file"] == 0o600
