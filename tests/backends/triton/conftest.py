"""Where there is no triton, its tests are skipped, visibly."""

from __future__ import annotations

import pytest

pytest.importorskip("triton")
