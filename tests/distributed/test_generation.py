"""Generation at every degree, with a cache and without one: the same tokens."""

from __future__ import annotations

import torch

from hydratron.evaluation.decoding import next_tokens
from hydratron.evaluation.sampling import Chooser, Sampling
from hydratron.parallel.mesh import build_mesh
from tests.helpers.ranks import run_ranks
from tests.helpers.tiny import VOCAB, tiny_gpt

PLACEMENTS, POSITIONS = ("pre", "post", "deepnorm", "sandwich"), 20
PROMPTS = ([3, 1, 4, 1, 5], [9])
DRAWN = Sampling(temperature=0.9, top_k=40, top_p=0.95, seed=5)
Texts = dict[tuple[str, bool], list[list[int]]]


def generate(rank: int, world_size: int) -> Texts:
    """Tokens by placement and whether there is a cache; those of the last row are drawn."""
    group, found = build_mesh({"tensor": world_size}, "cpu").tensor, {}
    for placement in PLACEMENTS:
        network = tiny_gpt(group, placement=placement, seq_length=POSITIONS).eval()
        table = network.word_embeddings
        # Padding would win, were it not cut off.
        table.weight.data[max(VOCAB - table.first, 0) :] = 9.0
        for cached in (True, False):
            rows = []
            with torch.inference_mode():
                for prompt, sampling in (*((p, Sampling()) for p in PROMPTS), (PROMPTS[0], DRAWN)):
                    most, choose = POSITIONS - len(prompt), Chooser(sampling)
                    rows.append([*next_tokens(network, prompt, most, VOCAB, choose, cached)])
            found[placement, cached] = rows
    return found


def test_cache_and_degree_change_no_token() -> None:
    one, *two = [*run_ranks(generate, 1), *run_ranks(generate, 2)]
    for placement in PLACEMENTS:
        rows = one[placement, False]
        assert rows[-1] != rows[0]
        assert max(map(max, rows)) < VOCAB
        for found in (one, *two):
            assert found[placement, True] == rows
            assert found[placement, False] == rows
