"""What besides weights decides an answer: where generate stops, and how it chooses tokens."""

from typing import Any

from transformers import GenerationConfig, PreTrainedModel


def answering_config(tokenizer: Any, max_new_tokens: int | None) -> GenerationConfig:
    """Return the defaults under which generate answers as runs are scored.

    Greedily and without penalties, up to the tokenizer's end token, which answers are trained to
    end with; a base model's own defaults may sample, penalise, or know another end.
    """
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    return GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False,
        max_new_tokens=max_new_tokens,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=end,
        pad_token_id=end if pad is None else pad,
    )


def answer_as_scored(model: PreTrainedModel, tokenizer: Any, max_new_tokens: int | None) -> None:
    """Give a model, before it is saved, the defaults under which it answers as it is scored."""
    model.generation_config = answering_config(tokenizer, max_new_tokens)
    # Converters to other formats read the end token here.
    model.config.eos_token_id = tokenizer.eos_token_id
