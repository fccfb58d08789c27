"""Models by the numbers of their configs, and what fits where."""

import pytest

from models.sentiment.presets import Preset, fitting, presets


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("r1-distill-qwen-1.5b", 1.78),
        ("r1-distill-qwen-7b", 7.62),
        ("r1-distill-qwen-14b", 14.77),
        ("r1-distill-qwen-32b", 32.76),
        ("r1-0528-qwen3-8b", 8.19),
    ],
)
def test_parameters_are_those_that_each_model_is_published_with(name: str, billions: float) -> None:
    found = {preset.name: preset for preset in presets()}[name]
    assert found.parameters / 1e9 == pytest.approx(billions, abs=0.006)


@pytest.mark.parametrize("bias", [True, False])
def test_parameters_are_those_of_the_model_that_transformers_builds(bias: bool) -> None:
    from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

    sizes = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
    config, model = (Qwen2Config, Qwen2ForCausalLM) if bias else (Qwen3Config, Qwen3ForCausalLM)
    built = model(config(**sizes, **({} if bias else {"head_dim": 8}), tie_word_embeddings=False))
    preset = Preset("tiny", "", hidden=32, layers=3, heads=4, kv_heads=2, head_dim=8, intermediate=48, vocabulary=96, qkv_bias=bias)
    assert preset.parameters == sum(weight.numel() for weight in built.parameters())
    assert preset.cache_bytes == 2 * 3 * 2 * 8 * 2


def test_more_memory_fits_more_models_with_finer_weights() -> None:
    assert fitting(1e9) == []
    small = {preset.name: weights for preset, weights in fitting(8 * 2**30)}
    assert small == {"r1-distill-qwen-1.5b": "bf16", "r1-distill-qwen-7b": "q4", "r1-0528-qwen3-8b": "q4"}
    assert [weights for _, weights in fitting(80 * 2**30)] == ["bf16"] * 5
