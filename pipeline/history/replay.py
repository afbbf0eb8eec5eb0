"""A replay: the survey, the partitions side by side in processes, and the output."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError

from pipeline.assembly import build_evaluator
from pipeline.evaluation.verdict import encode_verdict
from pipeline.events.instants import parse_formatted
from pipeline.history.output import SCHEMA, Done, Manifest, Part, locked
from pipeline.history.partition import Job, Judged, PartitionReplay
from pipeline.history.processes import Pool, count_read
from pipeline.history.publishing import publish
from pipeline.history.rule_sets import KnownRuleSets
from pipeline.history.survey import survey
from pipeline.history.titles import RowsFile, judge_rows, read_rows
from pipeline.kafka.brokers import broker_trouble
from pipeline.titles.levels import SubjectRules

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from pipeline.anomaly.artefact import Model
    from pipeline.history.output import ReplayOutput
    from pipeline.history.survey import Survey, TimeRange
    from pipeline.settings.schema import Settings


@dataclass(frozen=True, slots=True)
class Replay:
    """What is judged again.

    Attributes:
        settings: where the brokers are, and the rules where none were published.
        times: the range.
        partitions: their numbers; None for all, or that of the user.
        user: publish only what this user's records give; None for all.
        own_rules: whether the rule set of the settings judges everything, instead of those that were in force.
        model: scores everything, instead of the models that were in force; None for those.
        subjects: whether titles and devices are judged. That needs all partitions and all users.
        topic: the topic, without the prefix, to which the output is published; None for a file alone.
    """

    settings: Settings
    times: TimeRange
    partitions: Collection[int] | None
    user: str | None
    own_rules: bool
    model: Model | None
    subjects: bool
    topic: str | None = None

    def parameters(self) -> dict[str, Any]:
        """What the output depends on, for the manifest."""
        settings, evaluator = self.settings, build_evaluator(self.settings)
        return {
            "brokers": settings.bootstrap_servers,
            "topics": f"{settings.topic_prefix}* of {settings.app_id}",
            "from": self.times.begin,
            "to": self.times.end,
            "warm_from": self.times.warm,
            "partitions": None if self.partitions is None else sorted(self.partitions),
            "user": self.user,
            "subjects": self.subjects,
            "topic": self.topic,
            "rules": None if settings.rules is None else sha256(settings.rules.read_bytes()).hexdigest(),
            "own_rules": self.own_rules,
            # It tells keys apart and does not reveal them.
            "pseudonym": evaluator.show("anybody"),
            "model": None if self.model is None else self.model.version,
        }

    def survey(self) -> Survey:
        """Look at the topics; see `pipeline.history.survey`."""
        return asyncio.run(survey(self.settings, self.times, self.partitions, self.user))

    def run(self, path: Path, workers: int, progress: Callable[[int, int], None]) -> tuple[Manifest, bool]:
        """Judge, and write the output.

        Args:
            path: of the output.
            workers: the number of processes.
            progress: is called with the numbers of records that were judged and that are to be judged.

        Returns:
            the manifest, and whether an earlier start had completed the output already.

        Raises:
            RefusedError: the output is that of another replay, or is being written.
            MissingError: see `survey` and `PartitionReplay.run`; or the output cannot be written.
        """
        with locked(path) as output:
            manifest = output.manifest(self.parameters())
            if manifest is not None and manifest.complete:
                output.finish(manifest)
                return manifest, not self._publish(output, manifest)
            known, done = (None, ()) if manifest is None else (manifest.ranges, tuple(manifest.done))
            found = asyncio.run(survey(self.settings, self.times, self.partitions, self.user, known, done))
            if manifest is None:
                manifest = Manifest(SCHEMA, self.parameters(), found.ranges, found.sources)
                output.save(manifest)
            found.sources.update(manifest.sources)
            missing = [one.partition for one in manifest.ranges if one.partition not in manifest.done]
            with Pool(min(workers, max(1, len(missing)))) as pool:
                jobs = {
                    pool.submit(
                        _judge_partition,
                        self._job(found, number),
                        output.part(number),
                        output.rows(number) if self.subjects else None,
                        path.name,
                        self.model,
                    ): number
                    for number in missing
                }
                total = sum(one.end - one.warm for one in manifest.ranges if one.partition in missing)
                for future in pool.finished(jobs, lambda read: progress(read, total)):
                    manifest.done[jobs[future]] = future.result()
                    output.save(manifest)
            if self.subjects and manifest.subjects is None:
                manifest.subjects = self._judge_subjects(found, output)
                output.save(manifest)
            output.finish(manifest)
            self._publish(output, manifest)
            return manifest, False

    def _publish(self, output: ReplayOutput, manifest: Manifest) -> bool:
        """Publish the output, if that is asked for and was not done before; return whether it was."""
        if self.topic is None or manifest.published:
            return False
        asyncio.run(publish(self.settings, output.path, self.settings.topic(self.topic), manifest.id))
        manifest.published = True
        output.save(manifest)
        return True

    def _judge_subjects(self, found: Survey, output: ReplayOutput) -> int:
        """Judge titles and devices, write their part, and return the number of verdicts."""
        evaluator = build_evaluator(self.settings)
        rule_sets = KnownRuleSets(evaluator.ruleset, () if self.own_rules else found.rules)
        paths = [path for one in found.ranges for path in output.rows(one.partition)]
        verdicts = judge_rows(
            map(read_rows, paths),
            rule_sets,
            lambda ruleset: SubjectRules(ruleset, evaluator.show),
        )
        begin, end = self.times.begin, self.times.end
        written = 0
        with Part(output.subjects_part, output.path.name) as part:
            for verdict in verdicts:
                time = parse_formatted(verdict.minute_end)
                if begin <= time and (end is None or time < end):
                    part.write([encode_verdict(verdict)])
                    written += 1
        return written

    def _job(self, found: Survey, number: int) -> Job:
        return Job(
            self.settings,
            next(one for one in found.ranges if one.partition == number),
            found.sources,
            (self.times.begin, self.times.end),
            found.lines[number],
            None if self.own_rules else found.rules,
            found.models if self.model is None else None,
            found.origin_key,
            self.user,
        )


def _judge_partition(
    job: Job, path: Path, rows: tuple[Path, Path] | None, name: str, model: Model | None
) -> Done:
    """Judge one partition and write its part. It runs in a process of the pool."""
    lines = 0
    with ExitStack() as files:
        part = files.enter_context(Part(path, name))
        noted = None
        if rows is not None:
            noted = (
                files.enter_context(RowsFile(rows[0])),
                files.enter_context(RowsFile(rows[1])),
            )

        def publish(judged: Judged) -> None:
            nonlocal lines
            lines += len(judged.verdicts)
            part.write(value for _, value in judged.verdicts)

        evaluator = build_evaluator(job.settings)
        evaluator.model = model
        partition = PartitionReplay(job, evaluator, publish, count_read, noted)
        try:
            asyncio.run(partition.run())
        except KafkaError as error:
            raise broker_trouble(job.settings, error) from error
    return Done(dict(partition.counts), dict(partition.requests), lines)
