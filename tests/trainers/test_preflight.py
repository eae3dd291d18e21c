"""What is refused before any picture is encoded, with every problem at once."""

import pytest

from pipelines.families import LoadedBase
from trainers.config import parse_config
from trainers.errors import UserError
from trainers.preflight import check_parts


def test_every_part_and_target_is_checked_at_once(shared_base: LoadedBase) -> None:
    plans = {
        "unet": {"settings": {"targets": ["attention", "feed_foward", "to_q"]}},
        "text_encoder": {"method": "adapter_fusion"},
        "text_encoder_2": {},
    }
    with pytest.raises(UserError) as caught:
        check_parts(parse_config({"data": "d", "name": "n", "parts": plans}), shared_base)
    said = str(caught.value)
    assert "'feed_foward' matches no layer of the unet; take attention, feed_forward, convolution, norm" in said
    assert "AdapterFusion fuses two or more trained adapters, not 0" in said
    assert "no part 'text_encoder_2'; it has unet, text_encoder" in said
    assert "to_q" not in said


def test_the_recommended_settings_of_a_run_pass(shared_base: LoadedBase) -> None:
    check_parts(parse_config({"data": "d", "name": "n"}), shared_base)
