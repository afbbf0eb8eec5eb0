"""What a person does when a rule fires, and the articles on which a legal rule is based.

The rules' own files carry both (`runbook`, `references`). No verdict contains them, so they can be reworded without
changing what was published. `python -m pipeline.runbook docs/runbook.md` writes the document of all of them.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.rules.ruleset import RULES


class Guidance(NamedTuple):
    """The guidance of one rule; a reference begins with the id of its law, as findings name it."""

    runbook: str
    references: tuple[str, ...]


GUIDANCE: Final[Mapping[str, Guidance]] = {
    rule_id: Guidance(rule.runbook, getattr(rule, "references", ()))
    for rule_id, rule in sorted(RULES.items())
}
"""By rule id."""

_HEAD: Final = """# Runbook: what to do when a rule fires

`make documents` writes this file from the rules (`pipeline/rules/`). The dashboard shows the same lines with a finding,
and `ott tail` below a verdict. The references say which articles a legal rule rests on; they are no legal advice.
"""


def document() -> str:
    """The text of docs/runbook.md."""
    parts = [_HEAD]
    for rule_id, guidance in GUIDANCE.items():
        parts.append(f"\n## {rule_id}\n\n{guidance.runbook}\n")
        if guidance.references:
            parts.append("\n" + "".join(f"- {reference}\n" for reference in guidance.references))
    return "".join(parts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(), encoding="utf-8")
