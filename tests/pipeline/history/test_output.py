"""The output of a replay: a kill at any step loses and doubles nothing."""

import gzip
from pathlib import Path

import pytest
import zstandard

from pipeline.errors import MissingError, RefusedError
from pipeline.history.output import SCHEMA, Done, Manifest, Part, ReplayOutput, locked
from pipeline.history.survey import PartitionRange

PARAMETERS = {"from": 0, "to": None}


def some_range(partition: int) -> PartitionRange:
    return PartitionRange(partition, 0, 0, 9, 9, 0, 0, 0, merged=True, whole=True)


def begun(output: ReplayOutput, *partitions: int) -> Manifest:
    """A manifest whose partitions are done, with a part of two lines each."""
    manifest = Manifest(SCHEMA, PARAMETERS, [some_range(number) for number in partitions], {0: (0, 9)})
    for number in partitions:
        with Part(output.part(number), output.path.name) as part:
            part.write([b"first of %d" % number, b"second of %d" % number])
        manifest.done[number] = Done({"judged": 2}, {}, 2)
    output.save(manifest)
    return manifest


@pytest.mark.parametrize(
    ("name", "expand"),
    [("out.jsonl", bytes), ("out.jsonl.gz", gzip.decompress), ("out.jsonl.zst", None)],
)
def test_the_parts_become_one_file_in_the_order_of_partitions(tmp_path: Path, name: str, expand) -> None:
    with locked(tmp_path / name) as output:
        manifest = begun(output, 0, 1)
        assert not output.path.exists()
        output.finish(manifest)
        with output.path.open("rb") as file:
            if expand is None:
                content = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
            else:
                content = expand(file.read())
        assert content == b"first of 0\nsecond of 0\nfirst of 1\nsecond of 1\n"
        found = output.manifest(PARAMETERS)
        assert found is not None
        assert found.complete
        assert found.total()[0] == {"judged": 4}
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, f"{name}.manifest.json"]


def test_a_kill_after_the_output_appeared_doubles_nothing(tmp_path: Path) -> None:
    with locked(tmp_path / "out") as output:
        manifest = begun(output, 0)
        (tmp_path / "out").write_bytes(b"the output of the start that was killed")
        found = output.manifest(PARAMETERS)
        assert found == manifest
        output.finish(found)
        assert output.path.read_bytes() == b"first of 0\nsecond of 0\n"
        output.part(0).write_bytes(b"left over")
        output.finish(found)
        assert not output.part(0).exists()
        assert output.path.read_bytes() == b"first of 0\nsecond of 0\n"


def test_an_output_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"precious")
    with locked(path) as output:
        with pytest.raises(RefusedError, match="is there already"):
            output.manifest(PARAMETERS)
        (tmp_path / "out.manifest.json").write_bytes(b"[" * 5000)
        with pytest.raises(RefusedError, match="no manifest"):
            output.manifest(PARAMETERS)
        begun(output, 0)
        with pytest.raises(RefusedError, match="to None instead of 5"):
            output.manifest({**PARAMETERS, "to": 5})
    assert path.read_bytes() == b"precious"


def test_two_at_a_time_are_refused(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "out"),
        pytest.raises(RefusedError, match="another ott replay"),
        locked(tmp_path / "out"),
    ):
        pass
    with pytest.raises(MissingError, match="no directory"), locked(tmp_path / "none" / "out"):
        pass


def test_an_output_that_is_gone_is_not_called_complete(tmp_path: Path) -> None:
    with locked(tmp_path / "out") as output:
        output.finish(begun(output, 0))
        output.path.unlink()
        with pytest.raises(RefusedError, match="is gone"):
            output.manifest(PARAMETERS)
