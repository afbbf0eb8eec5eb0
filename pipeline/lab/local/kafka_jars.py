"""Apache Kafka's jars from Maven Central, kept in the user's cache directory, outside any repository."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from pipeline.errors import MissingError

KAFKA_VERSION = "4.1.0"
_MINIMUM_JAVA = 17
_DOWNLOAD_TIMEOUT_S = 900

# log4j-slf4j-impl: Kafka logs through slf4j 1.7 and log4j 2, and depends on neither's backend.
_POM = f"""<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local.ott-risk</groupId>
  <artifactId>kafka-on-loopback</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.24.3</version>
    </dependency>
  </dependencies>
  <build>
    <plugins>
      <plugin>
        <groupId>org.apache.maven.plugins</groupId>
        <artifactId>maven-dependency-plugin</artifactId>
        <version>3.8.1</version>
      </plugin>
    </plugins>
  </build>
</project>
"""


def java_available() -> str | None:
    """None if Apache Kafka can be started here, else the reason why not, as a sentence for people."""
    if sys.platform == "win32":
        return "a local Apache Kafka is not supported on Windows; use WSL, or a Kafka elsewhere"
    java = _java()
    if java is None:
        return f"Java {_MINIMUM_JAVA} is missing; on Debian: apt-get install openjdk-17-jre-headless"
    version = _java_version(java)
    if version is None or version < _MINIMUM_JAVA:
        found = "of an unknown version" if version is None else version
        return f"{java} is Java {found}; Apache Kafka {KAFKA_VERSION} needs {_MINIMUM_JAVA} or newer"
    if not _jar_directory().is_dir() and shutil.which("mvn") is None:
        return f"Maven is missing (it fetches Apache Kafka {KAFKA_VERSION}); on Debian: apt-get install maven"
    return None


def java_command() -> str:
    """Path of the Java to run.

    Raises:
        MissingError: there is no Java that `java_available` accepts.
    """
    reason = java_available()
    if reason is not None:
        raise MissingError(reason)
    java = _java()
    assert java is not None
    return java


def kafka_class_path() -> str:
    """Class path of Apache Kafka, fetched by Maven the first time (about 45 jars, 43 MB).

    Raises:
        MissingError: Java or Maven is missing, or Maven fails.
    """
    java_command()
    jars = _jar_directory()
    if not jars.is_dir():
        jars.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(jars.with_suffix(".lock"), timeout=_DOWNLOAD_TIMEOUT_S):
            if not jars.is_dir():
                _fetch(jars)
    return f"{jars}{os.sep}*"


def _fetch(jars: Path) -> None:
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix=f"{jars.name}-") as scratch:
        pom = Path(scratch) / "pom.xml"
        pom.write_text(_POM, encoding="utf-8")
        fetched = Path(scratch) / "jars"
        command = ["mvn", "-B", "-q", "-f", str(pom), "dependency:copy-dependencies"]
        command += ["-DincludeScope=runtime", f"-DoutputDirectory={fetched}"]
        try:
            done = subprocess.run(  # noqa: S603 - the command is ours
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_DOWNLOAD_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise MissingError(
                f"Maven did not fetch Apache Kafka {KAFKA_VERSION} in {_DOWNLOAD_TIMEOUT_S} s; try again"
            ) from error
        if done.returncode != 0 or not list(fetched.glob("kafka_2.13-*.jar")):
            errors = [line for line in done.stdout.splitlines() if "ERROR" in line] or [done.stderr.strip()]
            raise MissingError(f"Maven could not fetch Apache Kafka {KAFKA_VERSION}: {errors[0][:400]}")
        # It is renamed at the end, so that a directory of this name is always complete.
        fetched.rename(jars)


def _jar_directory() -> Path:
    recipe = hashlib.sha256(_POM.encode()).hexdigest()[:8]
    return user_cache_path("ott-risk") / f"kafka-{KAFKA_VERSION}-{recipe}"


def _java() -> str | None:
    home = os.environ.get("JAVA_HOME")
    if home and os.access(Path(home) / "bin" / "java", os.X_OK):
        return str(Path(home) / "bin" / "java")
    return shutil.which("java")


def _java_version(java: str) -> int | None:
    """Major version: 17 of ``openjdk version "17.0.15"``, 8 of ``java version "1.8.0_292"``."""
    try:
        done = subprocess.run(  # noqa: S603 - the command is ours
            [java, "-version"], capture_output=True, text=True, errors="replace", timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(match[1]) if match else None
