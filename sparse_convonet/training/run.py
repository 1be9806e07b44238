"""A training run between two steps: its review, its checkpoint, and whether it ends here."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from sparse_convonet.config.experiment import ExperimentConfig, config_to_mapping
from sparse_convonet.model import OccupancyNetwork
from sparse_convonet.training.average import WeightAverage
from sparse_convonet.training.checkpoint import TrainingState, save_state
from sparse_convonet.training.processes import Processes
from sparse_convonet.training.review import NOT_VALIDATED, Review
from sparse_convonet.training.starting import CHECKPOINT, LAST
from sparse_convonet.training.stopping import StopRequest, TrainingStopped


@dataclass(frozen=True)
class Run:
    """What a training changes step by step, and what it is answerable to.

    review: in the first of the processes only.  started: time.monotonic() at the begin, less the seconds of earlier
    parts of the run.
    """

    config: ExperimentConfig
    out: Path
    model: OccupancyNetwork
    optimizer: torch.optim.Optimizer
    average: WeightAverage
    processes: Processes
    stop: StopRequest
    review: Review | None
    started: float

    def end_step(self, done: int, owed: bool = True) -> bool:
        """Review and checkpoint in the first process; agree with the others on whether the run ends after `done` steps.

        owed: whether review and checkpoint are still to be made where they are due.  Raises TrainingStopped, after
        writing the checkpoint, where one of the processes was asked to stop.
        """
        finished, reviewed = False, True
        if self.review is not None:
            seconds = self._seconds()
            last = self._is_last(done, seconds)
            reviewed = not owed or self.review.after_step(self._weights(), done, seconds / 60, last)
            finished = last and reviewed
        finished, terminated, interrupted = self.processes.any(
            finished, self.stop.number == signal.SIGTERM, self.stop.number == signal.SIGINT
        )
        stopped = not finished and (terminated or interrupted)
        due = finished or stopped or done % self.config.training.checkpoint_every == 0
        if self.review is not None and owed and due:
            self._save(self.review, done, reviewed)
        if finished or stopped:
            self.processes.wait()  # for the checkpoint: a launcher ends all processes when the first one ends
            if self.review is not None:
                self.review.writer.close()
        if stopped:
            raise TrainingStopped(signal.SIGTERM if terminated else signal.SIGINT, done)
        return finished

    def _seconds(self) -> float:
        """That all parts of the run have taken."""
        return time.monotonic() - self.started

    def _is_last(self, done: int, seconds: float) -> bool:
        settings = self.config.training
        return done >= settings.steps or (settings.minutes is not None and seconds >= 60 * settings.minutes)

    def _weights(self) -> Mapping[str, torch.Tensor]:
        """Those that are validated and shipped."""
        return self.average.values if self.config.training.ema else self.model.state_dict()

    def _save(self, review: Review, done: int, reviewed: bool) -> None:
        """Write last.safetensors and last.pt; reviewed: whether the review that was due is made."""
        review.save(self._weights(), LAST, done)
        review.writer.flush()  # so that no curve has a gap when the run goes on from here
        state = TrainingState(
            model=self.model.state_dict(),
            averaged=self.average.values,
            optimizer=self.optimizer.state_dict(),
            step=done,
            best_iou=review.best_iou,
            validation=review.score.iou if review.score is not NOT_VALIDATED else (),
            seconds=self._seconds(),
            reviewed=reviewed,
            config=config_to_mapping(self.config),
        )
        save_state(state, self.out / CHECKPOINT)
