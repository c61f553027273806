"""A command looks for garbage seldom until it has loaded, and as before from then on; a library leaves that alone."""

import gc

from mythos_lab.loading import begin_loading, end_loading


def test_thresholds_are_raised_for_a_commands_loading_and_are_afterwards_as_they_were():
    before = gc.get_threshold()
    end_loading()
    assert gc.get_threshold() == before
    begin_loading()
    begin_loading()
    assert gc.get_threshold()[0] > before[0]
    end_loading()
    assert gc.get_threshold() == before
    gc.set_threshold(1234, 5, 5)
    try:
        end_loading()
        assert gc.get_threshold() == (1234, 5, 5), "whoever trains without the command keeps his own"
    finally:
        gc.set_threshold(*before)
