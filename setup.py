"""Build of the package.

The wheel carries configs, tools and model-index.yml under kmcl_mm/.mim, where MIM looks. An editable install has links
to them there.
"""

import contextlib
import os
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


class BuildWithMim(build_py):
    """Copy what MIM looks for into the built package, or link it into that of an editable install."""

    def run(self) -> None:
        super().run()
        mim = Path(ROOT if self.editable_mode else self.build_lib, 'kmcl_mm', '.mim')
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for name in ('configs', 'tools', 'model-index.yml'):
            if self.editable_mode:
                # Where the system has no links, the package looks into the checkout.
                with contextlib.suppress(OSError):
                    (mim / name).symlink_to(os.path.relpath(ROOT / name, mim))
            elif (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, mim / name, ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copy(ROOT / name, mim)


# What the plugin needs, apart from MMEngine, MMCV and MMPretrain.
PLUGIN = [
    'torchvision',  # MMPretrain's networks and transforms import it
    'timm>=1.0',  # TResNet and every other backbone
    'pycocotools>=2.0.7',  # COCO annotations
    'pandas>=2.1',  # tables of labels
    'pyarrow',  # tables in Parquet
    'numpy',  # labels and images
    'opencv-python',  # images
    'pillow',  # images that OpenCV does not tell enough of
    'scipy',  # the order of labels in pictures
    'matplotlib',  # pictures
    'torchmetrics',  # AUROC, ranking and calibration metrics
    'packaging',  # versions of MMEngine, MMCV and MMPretrain
]
# The report's charts; the template of its page; its map and its curves.
REPORT = ['bokeh>=3.8', 'jinja2', 'markupsafe', 'scikit-learn']
# The loops without MMPretrain: networks, digits and average precision, the second loop.
EXAMPLES = ['timm>=1.0', 'scikit-learn', 'pytorch-lightning', 'torchmetrics']

version = {}
exec((ROOT / 'kmcl_mm/version.py').read_text(encoding='utf-8'), version)

setup(
    name='kmcl_mm',
    version=version['__version__'],
    description='Kernel multilabel contrastive learning (KMCL) in torch and for MMPretrain',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['kmcl_mm', 'kmcl_mm.*']),
    # That it has types; the report's page, with its style and scripts.
    package_data={'kmcl_mm': ['py.typed'], 'kmcl_mm.apps.report': ['*.html', '*.css', '*.js']},
    cmdclass=dict(build_py=BuildWithMim),
    # The losses and the head. Safe loading of checkpoints needs 2.6.
    install_requires=['torch>=2.6'],
    extras_require={
        # The plugin, where mmengine, mmcv and mmpretrain are installed already.
        'plugin': PLUGIN,
        # The plugin with MMEngine, MMCV and MMPretrain in their maintained family.
        'host': [*PLUGIN, 'onedl-mmengine>=0.10.12,<1', 'onedl-mmcv>=2.3.5,<3', 'onedl-mmpretrain>=1.3.6,<2'],
        # examples/pytorch.py and examples/lightning.py.
        'examples': EXAMPLES,
        # The handwritten digits of the embedded data set, and the report at the end.
        'demo': ['scikit-learn', *REPORT],
        # Export to ONNX, and the runtime that runs the file.
        'deploy': ['onnx', 'onnxruntime'],
        # The page in the browser.
        'webapp': ['gradio>=6', 'starlette'],
        # The site: Sphinx, which takes the reference from the docstrings, its reader of Markdown, a theme that fits
        # small screens, and a button that copies a command.
        'docs': ['sphinx>=8', 'myst-parser', 'furo', 'sphinx-copybutton'],
        # The page of tools/report.py.
        'report': REPORT,
        # MMEngine's TensorboardVisBackend.
        'tensorboard': ['tensorboard'],
        # The tests' runner, its random search of the numerics, the digits, a judge of the metrics, setuptools to
        # build the wheel that a test looks into, ONNX with its runtime, the judge of exported files, the page with
        # what drives a Chromium through it (Debian's: apt-get install chromium), the report, and what reads its curves
        # back from TensorBoard's files.
        'test': [
            'pytest>=8',
            'hypothesis',
            'scikit-learn',
            'setuptools>=70.1',
            'onnx',
            'onnxruntime',
            'gradio>=6',
            'starlette',
            'playwright',
            *REPORT,
            *EXAMPLES,
            'tensorboard',
        ],
        # The style and the types of the code. Their releases differ in what they ask for: each new one is a decision.
        'lint': ['ruff==0.17.*', 'mypy==2.4.*'],
    },
    classifiers=[
        'License :: OSI Approved :: Apache Software License',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
)
