"""Made-up inputs, the same ones everywhere: a short run of what `make fuzz` tries for as long as it is told."""

import pytest
from hypothesis import HealthCheck, given, settings
from properties import PROPERTIES

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]  # it depends on the machine
SHORT = settings(derandomize=True, deadline=None, database=None, suppress_health_check=SLOW)


@pytest.mark.parametrize("name", [name for name, one in PROPERTIES.items() if one.examples])
def test_it_holds_for_inputs_that_are_made_up(name):
    one = PROPERTIES[name]
    settings(SHORT, max_examples=one.examples)(given(one.draw)(one.check))()
