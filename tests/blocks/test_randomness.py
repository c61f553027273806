"""Global generators are seeded as torch seeds them, without what torch writes down for accelerators that are idle."""

import torch

from mythos_blocks.tensors.randomness import GlobalNumbers, keyed_generator, reseed


def test_numbers_are_those_of_torchs_own_seeding():
    for seed in (0, 3, 2**40 + 3):
        torch.manual_seed(seed)
        expected = torch.rand(3)
        reseed(seed, torch.device("cpu"))
        assert torch.equal(torch.rand(3), expected) and torch.initial_seed() == seed


def test_a_devices_own_generator_is_seeded_too(monkeypatch):
    seeded = []

    class Accelerator:
        manual_seed = staticmethod(seeded.append)

    monkeypatch.setattr(torch, "get_device_module", lambda device: {"cuda": Accelerator}[device.type])
    reseed(5, torch.device("cuda", 0))
    reseed(6, torch.device("meta"))
    assert seeded == [5] and torch.initial_seed() == 6


def test_a_key_gives_the_numbers_that_recorded_runs_rest_on():
    assert keyed_generator(3, "loops", 7).initial_seed() == 869791517


def test_numbers_are_drawn_again_from_where_they_stood_and_go_on_behind_it():
    torch.manual_seed(1)
    there = GlobalNumbers.now(torch.zeros(1))
    first, ahead = torch.rand(3), torch.get_rng_state()
    with there.replayed():
        assert torch.equal(torch.rand(3), first)
        torch.rand(5)
    assert torch.equal(torch.get_rng_state(), ahead)
