"""All kinds of input; 1,000 inputs together."""

from .checkpoints import CHECKPOINTS
from .configs import ConfigFile
from .data_sets import DATA_SETS
from .images import ImageFile

KINDS = (*DATA_SETS, ImageFile, ConfigFile, *CHECKPOINTS)
