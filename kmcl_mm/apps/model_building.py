"""Building the model of a configuration."""

from mmengine.config import Config
from mmengine.model import BaseModel
from mmpretrain.apis import get_model

from ..config import leave_out_pretrained_weights
from ..engine.channels import check_channels


def build_model(cfg: Config) -> BaseModel:
    """Build the model of a configuration, without downloading pretrained weights of its backbone.

    Args:
        cfg: The configuration, in which these weights are switched off.

    Returns:
        The model on the CPU, in evaluation mode.

    Raises:
        ValueError: The configuration has no model, or it cannot be built.

    Example:
        >>> from kmcl_mm import get_config
        >>> build_model(get_config('kmcl_tresnet_m_digits')).training
        False
    """
    name = f'configuration {cfg.filename or ""}'.rstrip()
    if 'model' not in cfg:
        raise ValueError(f'The {name} has no `model`. Use the configuration of a training.')
    leave_out_pretrained_weights(cfg)
    # Without the data sets, among which MMPretrain's get_model knows no types that are classes.
    parts = Config({key: cfg[key] for key in ('model', 'data_preprocessor') if key in cfg})
    try:
        model = get_model(parts)
        check_channels(model)
    except Exception as error:  # Any setting may be wrong in any way.
        raise ValueError(f'The model of the {name} cannot be built: {error!r}') from error
    model._config = cfg
    return model
