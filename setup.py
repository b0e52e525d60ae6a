"""Build of the package; the wheel carries configs, tools and model-index.yml under kmcl_mm/.mim, where MIM looks."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


class BuildWithMim(build_py):
    """Copy them into the built package. An editable install reads them from the checkout."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for folder in ('configs', 'tools'):
            target = Path(self.build_lib, 'kmcl_mm', '.mim', folder)
            shutil.copytree(ROOT / folder, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns('__pycache__'))
        shutil.copy(ROOT / 'model-index.yml', Path(self.build_lib, 'kmcl_mm', '.mim'))


# The report's charts; the template of its page; its map and its curves.
REPORT = ['bokeh>=3.8', 'jinja2', 'scikit-learn']

version = {}
exec((ROOT / 'kmcl_mm/version.py').read_text(), version)

setup(
    name='kmcl_mm',
    version=version['__version__'],
    description='Kernel multilabel contrastive learning (KMCL) for MMPretrain',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['kmcl_mm', 'kmcl_mm.*']),
    # That it has types; the report's page, with its style and scripts.
    package_data={'kmcl_mm': ['py.typed'], 'kmcl_mm.report': ['*.html', '*.css', '*.js']},
    cmdclass=dict(build_py=BuildWithMim),
    install_requires=[
        'torch>=2.6',  # the losses and the networks; safe loading of checkpoints needs 2.6
        'torchvision',  # the host's networks and transforms import it
        'timm>=1.0',  # TResNet and every other backbone
        'pycocotools>=2.0.7',  # COCO annotations
        'pandas>=2.1',  # tables of labels
        'pyarrow',  # tables in Parquet
        'numpy',  # labels and images
        'packaging',  # versions of the host
    ],
    extras_require={
        # The host, in its maintained family. Leave it out where mmengine, mmcv and mmpretrain are installed already.
        'host': ['onedl-mmengine>=0.10.12', 'onedl-mmcv>=2.3.5', 'onedl-mmpretrain>=1.3.6'],
        # The handwritten digits of the embedded data set, and the report at the end.
        'demo': ['scikit-learn', *REPORT],
        # Export to ONNX, and the runtime that runs the file.
        'deploy': ['onnx', 'onnxruntime'],
        # The page in the browser.
        'webapp': ['gradio>=6'],
        # The site: Sphinx, which takes the reference from the docstrings, its reader of Markdown, a theme that fits
        # small screens, and a button that copies a command.
        'docs': ['sphinx>=8', 'myst-parser', 'furo', 'sphinx-copybutton'],
        # The page of tools/report.py.
        'report': REPORT,
        # The host's TensorboardVisBackend.
        'tensorboard': ['tensorboard'],
        # The tests' runner, its random search of the numerics, the digits, two judges of the metrics, setuptools to
        # build the wheel that a test looks into, ONNX with its runtime, the judge of exported files, the page with
        # what drives a Chromium through it (Debian's: apt-get install chromium), the report, and what reads its curves
        # back from TensorBoard's files.
        'test': [
            'pytest>=8',
            'hypothesis',
            'scikit-learn',
            'torchmetrics',
            'setuptools>=70.1',
            'onnx',
            'onnxruntime',
            'gradio>=6',
            'playwright',
            *REPORT,
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
