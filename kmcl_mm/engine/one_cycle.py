"""One cycle of the learning rate, for groups of parameters with rates of their own."""

from typing import Any

from mmengine.optim import OneCycleLR
from mmengine.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class OneCycleByGroupLR(OneCycleLR):
    """MMEngine's ``OneCycleLR`` that keeps the ratios between the rates of groups.

    MMEngine's gives all groups one maximum, so that ``paramwise_cfg`` with an ``lr_mult`` and ``--auto-scale-lr`` have
    no effect. Here the maximum of a group is ``eta_max`` times its multiplier, the group's rate at the start over the
    optimizer's ``lr``. Without multipliers the rates are MMEngine's.

    Args:
        optimizer: The optimizer, or its wrapper.
        *args: MMEngine's arguments.
        **kwargs: MMEngine's arguments: ``eta_max``, ``pct_start`` and so on.
    """

    def _format_param(self, name: str, optimizer: Any, param: float | list[float]) -> list[float]:
        values = super()._format_param(name, optimizer, param)
        base = getattr(optimizer, 'optimizer', optimizer).defaults['lr']
        if isinstance(param, (list, tuple)) or not base:
            return values
        # Another schedule, such as a warm-up before the cycle, has changed the rate and kept the one at the start.
        rates = [group.get('initial_lr', group['lr']) for group in optimizer.param_groups]
        return [value * (rate / base) for value, rate in zip(values, rates)]
