"""What the first process does with the averaged weights now and then: validate, keep the best, draw pictures."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from sparse_convonet.config.experiment import ExperimentConfig
from sparse_convonet.model import OccupancyNetwork
from sparse_convonet.model.weights import save_weights
from sparse_convonet.structures import TrainingSample
from sparse_convonet.training.curves import Curves
from sparse_convonet.training.pictures import write_pictures
from sparse_convonet.training.sides import SidesScore, mean_sides, score_sides
from sparse_convonet.training.stopping import StopRequest
from sparse_convonet.training.validation import THRESHOLDS, ValidationScore, validate

logger = logging.getLogger(__name__)

_UNKNOWN_THRESHOLD = 0.5  # of weights that were not validated yet
NOT_VALIDATED = ValidationScore((0.0,) * len(THRESHOLDS))


class Review:
    """The held-out scenes, the last score and the best one.

    model: a network of its own, which takes the weights in question.  held_out: scenes by name; the first set decides.
    halls: those of sides_halls, scored at the threshold that the first set finds best.
    """

    def __init__(
        self,
        *,
        config: ExperimentConfig,
        out: Path,
        model: OccupancyNetwork,
        held_out: Mapping[str, list[TrainingSample]],
        halls: Sequence[TrainingSample] = (),
        writer: Curves,
        stop: StopRequest,
    ) -> None:
        self.config = config
        self.out = out
        self.model = model
        self.held_out = held_out
        self.halls = halls
        self.writer = writer
        self.stop = stop
        self.score = NOT_VALIDATED
        self.best_iou = 0.0
        self.parameters = sum(each.numel() for each in model.parameters())

    def save(self, weights: Mapping[str, torch.Tensor], name: str, step: int) -> None:
        """Write weights with the threshold that the last validation found."""
        validated = self.score is not NOT_VALIDATED
        record = {"steps": step, "validation_iou": round(self.score.best_iou, 4), "parameters": self.parameters}
        threshold = self.score.best_threshold if validated else _UNKNOWN_THRESHOLD
        save_weights(weights, self.config, self.out / name, threshold=threshold, record=record)

    def after_step(self, weights: Mapping[str, torch.Tensor], step: int, minutes: float, last: bool) -> bool:
        """Validate and draw where the config wants it after `step` steps, always after the last.

        Returns whether all that was due is done: not where a stop was requested before the last scene was validated.
        """
        settings = self.config.training
        validation_due = last or step % settings.validate_every == 0
        picture_due = last or (settings.picture_every > 0 and step % settings.picture_every == 0)
        if not (validation_due or picture_due):
            return True
        self.model.load_state_dict(weights)
        if validation_due and not self._validate(weights, step, minutes):
            return False
        if picture_due:
            with_mesh = settings.mesh_every > 0 and step % settings.mesh_every == 0
            device = next(self.model.parameters()).device
            write_pictures(self.writer, self.model, next(iter(self.held_out.values()))[0], step, device, with_mesh)
        return True

    def _validate(self, weights: Mapping[str, torch.Tensor], step: int, minutes: float) -> bool:
        scores: dict[str, ValidationScore] = {}
        for name, samples in self.held_out.items():
            score = self._mean_score(samples)
            if score is None:
                return False
            scores[name] = score
        sides = self._sides(next(iter(scores.values())).best_threshold)
        if self.halls and sides is None:
            return False
        for name, each in scores.items():
            self.writer.add_scalar(f"iou/validation_{name}", each.best_iou, step)
        found = [f"{name} {each.best_iou:.4f} ({each.best_threshold:.2f})" for name, each in scores.items()]
        logger.info("step %d, %.1f min: validation IoU (threshold): %s", step, minutes, ", ".join(found))
        if sides is not None:
            self.writer.add_scalar("sides/wrong", sides.wrong, step)
            self.writer.add_scalar("sides/holes", sides.holes, step)
            logger.info(
                "step %d: wrong side of surfaces in empty halls: %.2f %%, holes: %.2f %%",
                step, 100 * sides.wrong, 100 * sides.holes,
            )  # fmt: skip
        self.score = next(iter(scores.values()))
        if self.score.best_iou > self.best_iou:
            self.best_iou = self.score.best_iou
            self.save(weights, "best.safetensors", step)
        return True

    def _mean_score(self, samples: list[TrainingSample]) -> ValidationScore | None:
        """Mean over the scenes, None where a stop was requested between them."""
        device = next(self.model.parameters()).device
        single = []
        for sample in samples:
            if self.stop.requested:
                return None
            single.append(torch.tensor(validate(self.model, [sample], device).iou))
        return ValidationScore(tuple(torch.stack(single).mean(0).tolist()))

    def _sides(self, threshold: float) -> SidesScore | None:
        """Mean over the halls, None without halls and where a stop was requested between them."""
        device = next(self.model.parameters()).device
        single = []
        for hall in self.halls:
            if self.stop.requested:
                return None
            single.append(score_sides(self.model, hall, threshold, device))
        return mean_sides(single) if single else None
