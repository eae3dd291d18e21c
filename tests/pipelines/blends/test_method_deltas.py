"""The delta that is read of every method is what the method does on the live model."""

from typing import Any

import pytest

from pipelines.deltas import DenseDelta, LowRankDelta
from pipelines.effective import part_deltas
from pipelines.families import LoadedBase
from pipelines.recipe import plain_recipe
from tests.pipelines.blends.support import FEW, live, predicted, weighed
from tests.support import random_adapter, relative_error
from trainers.methods import methods

pytestmark = pytest.mark.filterwarnings("ignore:Specified to not load")  # PEFT draws VeRA's matrices again, as meant
MERGEABLE = [name for name, method in methods().items() if method.mergeable and method.fits("unet") and name != "beft"]
TINY: dict[str, dict[str, Any]] = {"fourierft": {"frequencies": 40}, "waveft": {"coefficients": 20}}


@pytest.mark.parametrize("method", MERGEABLE)
def test_the_delta_of_every_method_is_what_it_does_live(base: LoadedBase, method: str) -> None:
    few = {"targets": FEW} if "targets" in methods()[method].settings.model_fields else {}
    adapter = random_adapter(base, "a", method=method, parts=("unet",), **few, **TINY.get(method, {}))
    lora = random_adapter(base, "lora", seed=5, parts=("unet",), targets=FEW)
    adapters = {"a": adapter, "lora": lora}
    expected = weighed(base, adapters, {"a": 0.7, "lora": -0.4})
    found = live(base, plain_recipe({"a": 0.7, "lora": -0.4}), adapters)
    plain = predicted(base)
    assert relative_error(found - plain, expected - plain) < 2e-3, method


@pytest.mark.parametrize("settings", [{"targets": ("convolution",)}, {"targets": ("attention",), "rank": 3}])
@pytest.mark.parametrize("method", ["lora", "loha"])
def test_convolutions_are_read_by_impulses(base: LoadedBase, method: str, settings: dict[str, Any]) -> None:
    adapter = random_adapter(base, "a", method=method, parts=("unet",), **settings)
    expected = weighed(base, {"a": adapter}, {"a": 1.0})
    found = live(base, plain_recipe({"a": 1.0}), {"a": adapter})
    plain = predicted(base)
    assert relative_error(found - plain, expected - plain) < 1e-3


def test_lora_read_by_units_equals_lora_read_from_its_factors(base: LoadedBase) -> None:
    from pipelines.effective import effective_deltas

    part = random_adapter(base, "a", targets=("convolution", "attention"), parts=("unet",)).parts["unet"]
    by_factors = part_deltas(part, None, what="it")
    by_units = effective_deltas(base.parts["unet"], part, what="it")
    assert by_factors.keys() == by_units.keys()
    for path, delta in by_factors.items():
        assert isinstance(delta, LowRankDelta)
        assert isinstance(by_units[path], DenseDelta)
        assert relative_error(by_units[path].dense(), delta.dense()) < 1e-6, path
