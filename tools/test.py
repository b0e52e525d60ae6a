"""Test a checkpoint with a configuration: MMPretrain's own tool and options, on GPUs or without one."""

from kmcl_mm.host import run_tool

if __name__ == '__main__':
    run_tool('test')
