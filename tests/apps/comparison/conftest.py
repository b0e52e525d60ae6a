"""Two small trainings on the same test images."""

from tests.apps.inference.conftest import small_cfg  # noqa: F401
from tests.apps.report.conftest import images, linear_training, training  # noqa: F401
