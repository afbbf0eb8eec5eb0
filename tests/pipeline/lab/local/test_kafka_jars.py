import os
import stat
from pathlib import Path

import pytest

from pipeline.errors import MissingError
from pipeline.lab.local.kafka_jars import java_available, java_command, kafka_class_path


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with an empty cache and, at first, with no program; returns how to install one."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))

    def install(name, script):
        path = programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return install


def _java(version):
    return f"echo 'openjdk version \"{version}\" 2025-04-15' >&2"


@pytest.mark.usefixtures("machine")
def test_without_java_it_says_what_to_install():
    assert "openjdk-17" in java_available()
    with pytest.raises(MissingError, match="Java 17 is missing"):
        java_command()


@pytest.mark.parametrize(("version", "found"), [("1.8.0_292", "8"), ("11.0.2", "11")])
def test_an_old_java_is_named_with_its_version(machine, version, found):
    machine("java", _java(version))
    assert f"is Java {found}; Apache Kafka 4.1.0 needs 17" in java_available()


def test_a_java_that_does_not_run_is_not_taken_for_one(machine):
    machine("java", "exit 1")
    assert "unknown version" in java_available()


@pytest.mark.parametrize("version", ["17.0.15", "21.0.1", "25"])
def test_without_maven_and_without_jars_it_says_what_to_install(machine, version):
    machine("java", _java(version))
    assert "Maven is missing" in java_available()


def test_a_failing_maven_is_quoted_and_leaves_no_half_of_the_jars(machine, tmp_path):
    machine("java", _java("17.0.15"))
    machine("mvn", "echo '[ERROR] Could not transfer artifact: no route to host'; exit 1")
    with pytest.raises(MissingError, match="Could not transfer artifact: no route to host"):
        kafka_class_path()
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_dir() and "jars" in path.name] == []
    assert java_available() is None


def test_fetched_jars_are_used_again_without_maven(machine, tmp_path):
    machine("java", _java("17.0.15"))
    copy = (
        'for argument in "$@"; do case "$argument" in -DoutputDirectory=*) to="${argument#*=}";; esac; done\n'
        '/bin/mkdir -p "$to"; : > "$to/kafka_2.13-4.1.0.jar"'
    )
    machine("mvn", copy)
    class_path = kafka_class_path()
    (jar,) = Path(class_path).parent.iterdir()
    assert jar.name == "kafka_2.13-4.1.0.jar"
    (tmp_path / "bin" / "mvn").unlink()
    assert kafka_class_path() == class_path
    assert os.path.commonpath([class_path, str(tmp_path / "cache")]) == str(tmp_path / "cache")
