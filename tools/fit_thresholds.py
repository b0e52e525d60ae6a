"""The former name of tools/calibrate.py --parts thresholds, for one release."""

import runpy
import sys
from pathlib import Path

print('tools/fit_thresholds.py is now tools/calibrate.py --parts thresholds.', file=sys.stderr)
sys.argv += ['--parts', 'thresholds']
runpy.run_path(str(Path(__file__).with_name('calibrate.py')), run_name='__main__')
