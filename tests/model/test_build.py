"""From a configuration to a network."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch

from sparse_convonet.config.models import ModelConfig
from sparse_convonet.model import build


@pytest.mark.parametrize("kind", get_args(ModelConfig))
def test_every_kind_of_configuration_has_a_network(kind: Any) -> None:
    arguments = {"grid_resolution": 32} if kind.__name__ == "DenseModelConfig" else {}
    with torch.device("meta"):
        assert sum(values.numel() for values in build(kind(**arguments)).parameters()) > 1000


def test_what_is_no_configuration_of_a_network_is_refused() -> None:
    other: Any = {"field": "points"}
    with pytest.raises(ValueError, match=r"expected one of SparseModelConfig, .*PointsModelConfig, .*found a dict"):
        build(other)
