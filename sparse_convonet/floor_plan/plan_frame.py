"""Stage floor_plan: what the axes of a plan are in the scan."""

from __future__ import annotations

from dataclasses import dataclass

from sparse_convonet.coordinates import ScanFrame, up_rotation


@dataclass(frozen=True)
class PlanFrame:
    """Plans are in metres, as seen from above.  axes: of the scan that point right, up on the sheet, and up: "-z" counts
    downwards.  A scan with z up has its own coordinates in the plan.  crs: the name of its system, if it is known."""

    axes: tuple[str, str, str]
    metres_per_unit: float
    crs: str | None = None

    @classmethod
    def of_scan(cls, scan: ScanFrame, crs: str | None = None) -> PlanFrame:
        names = []
        for row in up_rotation(scan.up):
            axis = int(abs(row).argmax())
            names.append(("-" if row[axis] < 0 else "") + "xyz"[axis])
        return cls((names[0], names[1], names[2]), scan.scale, crs)

    @property
    def sentence(self) -> str:
        """For whoever reads a drawing."""
        right, up, _ = self.axes
        text = f"right is {_said(right)} of the scan, up is {_said(up)}"
        return text if self.crs is None else f"{text}, in {self.crs}"


def _said(axis: str) -> str:
    return f"minus {axis[1]}" if axis.startswith("-") else axis
