"""What `import kmcl_mm` changes, which is nothing of what others use, and what it needs, which is torch alone."""

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT

LIST = """
import sys
import kmcl_mm
print(sorted(name for name in sys.modules if name.partition('.')[0] in ('mmengine', 'mmcv', 'mmpretrain')))
"""
COMPARE = """
import ast
import builtins
import importlib
import json
import logging
import os
import sys
import types
import warnings

import numpy
import torch
import torch.distributed
import torch.serialization

HOST = ('mmengine', 'mmcv', 'mmpretrain')
OTHERS = [builtins, logging, numpy, os, sys, torch, torch.distributed, torch.serialization, warnings]
# The interpreter sets these as it goes.
FLEETING = ('last_exc', 'last_type', 'last_value', 'last_traceback', '__warningregistry__', '_')


def is_of_host(name):
    return str(name).partition('.')[0] in HOST


def parts_of(function):
    return dict(code=function.__code__, defaults=function.__defaults__, keywords=function.__kwdefaults__)


def snapshot():
    found = {}

    def add(owner, attributes):
        found.update((f'{owner}.{name}', value) for name, value in attributes.items() if name not in FLEETING)

    modules = [module for name, module in sorted(sys.modules.items()) if is_of_host(name)]
    for module in [*modules, *OTHERS]:
        add(module.__name__, vars(module))
        for value in list(vars(module).values()):
            if isinstance(value, type) and is_of_host(value.__module__):
                owner = f'{value.__module__}.{value.__qualname__}'
                add(owner, vars(value))
                for name, part in vars(value).items():
                    if isinstance(part, types.FunctionType):
                        add(f'{owner}.{name}', parts_of(part))
            elif isinstance(value, types.FunctionType) and is_of_host(value.__module__):
                add(f'{value.__module__}.{value.__qualname__}', parts_of(value))
    add('os.environ', dict(os.environ))
    add('filters', dict(enumerate(warnings.filters)))
    add('handlers', dict(enumerate(logging.root.handlers)))
    add('import', dict(enumerate([*sys.meta_path, *sys.path_hooks])))
    add('logging', dict(level=logging.root.level))
    add('allowed', dict(enumerate(torch.serialization.get_safe_globals())))
    add('threads', dict(of_torch=torch.get_num_threads()))
    return found


MISSING = object()


def changes(before, after):
    return sorted(
        name
        for name in before.keys() | after.keys()
        if not is_same(before.get(name, MISSING), after.get(name, MISSING))
    )


def is_same(old, new):
    if isinstance(old, (str, int)) and type(old) is type(new):
        return old == new
    # A module that has been imported is an attribute of the one above it.
    return old is new or (old is MISSING and isinstance(new, types.ModuleType))


for name in ast.literal_eval(sys.argv[1]):
    importlib.import_module(name)
before = snapshot()
import kmcl_mm
after = snapshot()
report = dict(compared=len(before), changed=changes(before, after), seen=[])

# What the comparison sees: the patches of before, and others.
import mmengine.runner.checkpoint
import mmpretrain.evaluation.metrics.multi_label as metrics


def patch():
    pass


patched = [
    (mmengine.runner, 'find_latest_checkpoint'),
    (mmengine.runner.runner, 'find_latest_checkpoint'),
    (mmengine.runner.checkpoint, 'save_checkpoint'),
    (mmengine.runner.checkpoint.CheckpointLoader, 'load_checkpoint'),
    (mmengine.runner.checkpoint, 'new_name'),
    (metrics, '_average_precision'),
    (torch, 'load'),
    (torch.serialization, 'load'),
    (sys, 'stdout'),
    (builtins, 'print'),
]
print_line = print
stdout = sys.stdout
for owner, name in patched:
    former = getattr(owner, name, MISSING)
    setattr(owner, name, patch)
    report['seen'].append(changes(after, snapshot()))
    delattr(owner, name) if former is MISSING else setattr(owner, name, former)
    if isinstance(owner, type):
        after = snapshot()
mmengine.runner.Runner.train.__defaults__ = (1,)
os.environ['KMCL_MM'] = '1'
warnings.filterwarnings('ignore', message='kmcl_mm')
report['seen'].append(changes(after, snapshot()))
report['names'] = [f'{owner.__module__}.{owner.__name__}.{name}' if isinstance(owner, type) else
                   f'{owner.__name__}.{name}' for owner, name in patched]
print_line(json.dumps(report), file=stdout)
"""


def run(script, *arguments):
    result = subprocess.run([sys.executable, '-c', script, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope='module')
def report():
    """What differs between before and after the import, in a process that has imported what the package imports."""
    return json.loads(run(COMPARE, run(LIST)).splitlines()[-1])


def test_the_import_replaces_nothing(report):
    assert report['compared'] > 20_000
    assert report['changed'] == []


def test_the_comparison_sees_each_patch(report):
    *patches, others = report['seen']
    assert all(name in seen for name, seen in zip(report['names'], patches, strict=True)), report['seen']
    assert 'mmengine.runner.runner.Runner.train.defaults' in others and 'os.environ.KMCL_MM' in others
    assert any(name.startswith('filters.') for name in others)


# Finders that find what they find, but nothing of these packages, as where they are not installed.
TORCH_ALONE = """
import sys

MISSING = 'mmengine mmcv mmpretrain timm pandas pyarrow cv2 pycocotools PIL scipy sklearn matplotlib packaging'.split()


class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition('.')[0] in MISSING else self.finder.find_spec(name, path, target)


sys.meta_path[:] = map(Without, sys.meta_path)
"""
TRAIN = """
import json
import torch
from kmcl_mm import ASLLoss, KernelMixtureHead, KMCLLoss
import kmcl_mm
import kmcl_mm.functional

assert kmcl_mm.__version__
torch.manual_seed(0)
features, target = torch.randn(8, 16), (torch.rand(8, 3) < 0.5).float()
head, loss = KernelMixtureHead(num_classes=3, in_channels=16, embedding_channels=4), KMCLLoss(variant='exact')
optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
totals = []
for _ in range(20):
    losses = loss(*head.mixture(features), target)
    total = sum(losses.values())
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    totals.append(total.item())
assert totals[-1] < totals[0] and set(losses) == {'loss_asl', 'loss_reconstruction', 'loss_contrastive'}, totals
assert ASLLoss()(head(features), target).isfinite()
kmcl_mm.functional.responsibility_entropy
messages = {}
for name in ('get_model', 'get_config', 'list_models', 'KMCLInferencer', 'get_modle'):
    try:
        getattr(kmcl_mm, name)
    except (ImportError, AttributeError) as error:
        messages[name] = str(error)
loaded = {name.partition('.')[0] for name in sys.modules} & set(MISSING)
assert not loaded, loaded
print(json.dumps(messages))
"""


def test_the_method_needs_torch_alone():
    messages = json.loads(run(TORCH_ALONE + TRAIN))
    assert messages.pop('get_modle') == "module 'kmcl_mm' has no attribute 'get_modle'"
    assert set(messages) == {'get_model', 'get_config', 'list_models', 'KMCLInferencer'}
    assert set(messages.values()) == {
        'This part of kmcl_mm needs mmengine, mmcv, mmpretrain. Install:\n    pip install --upgrade "kmcl_mm[host]"'
    }
