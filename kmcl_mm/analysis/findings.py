"""What a check has to say."""

from dataclasses import dataclass
from typing import List, Sequence

from ..functional.checks import check_choice


@dataclass(frozen=True)
class Finding:
    """One fault, or one thing to look at.

    Args:
        severity: 'error' where training or its numbers would be wrong, 'warning' where somebody should look.
        split: The split, or the two of them, that it is about.
        message: What, how many, an example, and what to do.

    Raises:
        ValueError: There is no such severity.
    """

    severity: str
    split: str
    message: str

    def __post_init__(self) -> None:
        check_choice('severity', self.severity, ('error', 'warning'))


def in_order(findings: Sequence[Finding]) -> List[Finding]:
    """Findings with the errors last, where the reader's eye is.

    Args:
        findings: The findings.

    Returns:
        The same ones; warnings and errors each keep their order.
    """
    return sorted(findings, key=lambda finding: finding.severity == 'error')
