"""Findings of the checks."""

from dataclasses import dataclass

from ...checks import check_choice


@dataclass(frozen=True)
class Finding:
    """One error in the data, or one warning.

    Args:
        severity: 'error' where training or its results would be wrong, 'warning' where somebody should look.
        split: The split or splits that it concerns.
        message: What, how many, an example, and what to do.

    Raises:
        ValueError: There is no such severity.
    """

    severity: str
    split: str
    message: str

    def __post_init__(self) -> None:
        check_choice('severity', self.severity, ('error', 'warning'))
