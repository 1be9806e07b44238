"""The forecast of a run's time: with what is written besides, and again once it is seen how fast the machine is."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from sparse_convonet.plan.plan import Plan
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.scan.request import ScanRequest

_ENCODING = "encode"
_LEAST_S = 0.5  # of encoding, from which its time tells of the machine
_WORTH_TELLING_S = 10.0
# Of the time without, what the largest takes of three real scans, or near it (docs/MEASURED.md).
_TILES, _FLOOR_PLAN, _PAGE, _PICTURES = 0.2, 0.5, 0.05, 0.1

logger = logging.getLogger(__name__)


def with_outputs(plan: Plan, request: ScanRequest) -> Plan:
    """The plan with the time of tiles, floor plans, page and pictures that are asked for; attributes and texture are not in
    it, nor is the memory of any: it is less than that of the surface."""
    outputs = (
        (request.tiles, _TILES),
        (request.floor_plan, _FLOOR_PLAN),
        (request.page, _PAGE),
        (request.pictures, _PICTURES),
    )
    share = sum(each for is_asked, each in outputs if is_asked)
    return replace(plan, seconds=plan.seconds * (1 + share))


class SecondForecast:
    """Progress that, when the encoding of a scan in one piece is done, says how long the rest will take.

    The rest is to the forecast rest as the encoding was to the forecast encoding.  progress: is told everything first.
    """

    def __init__(self, progress: Progress, plan: Plan) -> None:
        self._progress, self._plan = progress, plan
        self._begun: float | None = None
        self._is_told = plan.tile_voxels is not None or plan.encode_seconds <= 0

    def __call__(self, stage: str, share: float) -> None:
        self._progress(stage, share)
        if self._is_told:
            return
        if stage == _ENCODING:
            self._begun = self._begun or time.monotonic()
        elif self._begun is not None:
            self._is_told = True
            self._tell(time.monotonic() - self._begun)

    def _tell(self, encoding_s: float) -> None:
        plan = self._plan
        rest = (plan.seconds - plan.read_seconds - plan.encode_seconds) * encoding_s / plan.encode_seconds
        if encoding_s > _LEAST_S and rest > _WORTH_TELLING_S:
            logger.info("expect    about %.0f s more, as fast as this machine encoded the points", rest)
