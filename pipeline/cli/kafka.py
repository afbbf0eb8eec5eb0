"""`ott kafka`: a real Apache Kafka on loopback, for the tests and for the demo's exactness."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import AsJson

if TYPE_CHECKING:
    from pipeline.lab.local.apache import KafkaCluster

app = typer.Typer(help="Start, stop and show a real Apache Kafka on loopback (needs Java 17 and Maven).")

Directory = Annotated[
    Path | None,
    typer.Option(
        "--dir", metavar="DIR", help="Its data, logs and state file (default: the user's data directory)."
    ),
]


@app.command(epilog="Example: ott kafka start --nodes 3 --port 9092")
def start(
    nodes: Annotated[int | None, typer.Option(metavar="1|3", help="Nodes of a new one (default: 1).")] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", min=0, max=65535, help="First node's port, 0: any free (default: 9092)."
        ),
    ] = None,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Start it, wait until every node answers, and leave it running; one that runs already stays as it is."""
    from pipeline.lab.local.apache import KafkaCluster
    from pipeline.lab.local.apache_files import read_state

    directory = directory or _default_directory()
    if port is None:
        port = 9092 if read_state(directory) is None else 0
    cluster = KafkaCluster(nodes=nodes, port=port, directory=directory)
    sys.stderr.write(
        f"ott: starting Apache Kafka in {cluster.directory} (the first time Maven fetches 43 MB of jars)\n"
    )
    cluster.start()
    _show(cluster, as_json=as_json)


@app.command(epilog="Example: ott kafka stop")
def stop(
    directory: Directory = None,
    delete_data: Annotated[bool, typer.Option("--delete-data", help="Delete the directory too.")] = False,
) -> None:
    """Stop its nodes, by their own process ids; the data stays unless --delete-data says otherwise."""
    from pipeline.lab.local.apache import KafkaCluster

    cluster = KafkaCluster.at(directory or _default_directory())
    running = [node for node in cluster.status() if node.pid is not None]
    if delete_data:
        cluster.delete()
    else:
        cluster.stop()
    sys.stderr.write(f"ott: stopped {len(running)} node(s) of the Kafka in {cluster.directory}\n")


@app.command(epilog="Example: ott kafka status --json")
def status(directory: Directory = None, as_json: AsJson = False) -> None:
    """Say which nodes run and answer; exit 1 unless all do."""
    from pipeline.errors import RefusedError
    from pipeline.lab.local.apache import KafkaCluster

    cluster = KafkaCluster.at(directory or _default_directory())
    silent = _show(cluster, as_json=as_json)
    if silent:
        raise RefusedError(
            f"{silent} of {len(cluster.node_ids)} node(s) in {cluster.directory} do not answer;"
            f" start them with: ott kafka start --dir {cluster.directory}"
        )


def _default_directory() -> Path:
    from platformdirs import user_data_path

    return user_data_path("ott-risk") / "kafka"


def _show(cluster: "KafkaCluster", *, as_json: bool) -> int:
    """Print the address and the state of every node, and return the number of those that do not answer."""
    from dataclasses import asdict

    from pipeline.writing import print_json

    nodes = cluster.status()
    if as_json:
        print_json(
            {
                "bootstrap_servers": cluster.bootstrap_servers,
                "directory": str(cluster.directory),
                "nodes": [asdict(node) for node in nodes],
            }
        )
    else:
        typer.echo(cluster.bootstrap_servers)
        for node in nodes:
            state = "answers" if node.answers else "does not answer"
            process = "not running" if node.pid is None else f"process {node.pid}, {state}"
            sys.stderr.write(f"ott: node {node.id} on 127.0.0.1:{node.port}: {process}\n")
    return sum(not node.answers for node in nodes)
