"""Test a checkpoint with a configuration: MMPretrain's own tool and options, on GPUs or without one."""

from functools import partial

from kmcl_mm.command_line import run_command
from kmcl_mm.config import load_config
from kmcl_mm.host import run_tool

if __name__ == '__main__':
    run_command(partial(run_tool, 'test', load_config))
