"""The base model: load any Hugging Face causal LM, freeze it, and put our modules in.

The model's mathematics stays with transformers; its linear maps and RMS norms are replaced by
frozen ones of ours, and the head is applied only where an answer is read.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.activations import ACT2FN
from transformers.pytorch_utils import Conv1D
from transformers.utils.logging import disable_progress_bar

from lorasweep.data.trees import Rows
from lorasweep.errors import UserError, nearest, quoted
from lorasweep.hub.checked_config import CONFIG
from lorasweep.model.lora import Adapters, Lane
from lorasweep.model.machine import Precision
from lorasweep.model.ops.attention import ATTENTION, bias_of, register
from lorasweep.model.ops.fp16 import keep_sums_in_range
from lorasweep.model.ops.frozen import FrozenLinear
from lorasweep.model.ops.gelu import fuse_gelus
from lorasweep.model.ops.packed import PackedLinear, can_pack
from lorasweep.model.ops.read_rows import ReadRows
from lorasweep.model.ops.rms_norm import FrozenRMSNorm
from lorasweep.model.reading import reading

# Norms that compute w * x / rms(x); others (Gemma's 1 + w) keep transformers' own module.
PLAIN_RMS_NORMS = ("LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm")
# Positions of a model that counts none, such as one with ALiBi.
UNBOUNDED = 2**31 - 1
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Base:
    """A frozen base model with its tokenizer, its body and its head.

    `linears` maps the full names of the body's linear maps to our frozen modules; `shares_trunks`
    is false for a model whose questions must be computed as separate rows. `autocast` is the
    precision of products where the weights have a higher one, `read_rows` leaves out what is not
    read.
    """

    model: PreTrainedModel
    tokenizer: Any
    linears: dict[str, FrozenLinear]
    shares_trunks: bool = True
    autocast: torch.dtype | None = None
    read_rows: ReadRows | None = None
    _breaks: dict[int, bool] = field(default_factory=dict)

    @property
    def end_id(self) -> int:
        """The end token that answers are trained to close with."""
        return int(self.tokenizer.eos_token_id)

    def breaks_line(self, token_id: int) -> bool:
        """Say whether a token's text holds a line break."""
        if token_id not in self._breaks:
            self._breaks[token_id] = "\n" in self.text([token_id])
        return self._breaks[token_id]

    def text(self, token_ids: Sequence[int]) -> str:
        """Return the text of tokens as it stands, special tokens included."""
        return str(self.tokenizer.decode(token_ids, clean_up_tokenization_spaces=False))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @property
    def is_fp16(self) -> bool:
        """Say whether products are made in fp16, so that gradients need a scaled loss."""
        return (self.autocast or self.model.dtype) == torch.float16

    @property
    def num_logits(self) -> int:
        """The tokens that the head knows."""
        return len(cast(Tensor, output_head(self.model).weight))

    @property
    def max_tokens(self) -> int:
        """The positions that the model knows."""
        return int(getattr(self.model.config, "max_position_embeddings", None) or UNBOUNDED)

    def cast(self, dtype: torch.dtype) -> None:
        """Round the weights to another precision; buffers such as rotary frequencies stay exact."""
        for parameter in self.model.parameters():
            parameter.data = parameter.data.to(dtype)
        for module in self.model.modules():
            if isinstance(module, PackedLinear):
                module.pack()
        if dtype == torch.float16:
            keep_sums_in_range()

    def body(self, read_M: Tensor | None = None, **inputs: Any) -> Any:
        """Run the model without its head; the caller may say that it reads some tokens alone.

        `read_M` are places in the flattened tokens of all rows and lanes.
        """
        narrowed = self.read_rows.only(read_M) if self.read_rows else nullcontext()
        with self._products(), narrowed:
            return self.model.base_model(**inputs)

    def head(self, hidden: Tensor) -> Tensor:
        """Return logits of hidden states."""
        with self._products():
            return output_head(self.model)(hidden)  # type: ignore[no-any-return]

    def _products(self) -> AbstractContextManager[Any]:
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.autocast)

    @contextmanager
    def adapted(self, lanes: list[Lane]) -> Iterator[Adapters]:
        """Attach fresh adapters for these lanes, and take them off at the end."""
        adapters = Adapters(lanes, self.linears, self.device)
        adapters.attach()
        try:
            yield adapters
        finally:
            adapters.detach()

    def hidden_at_answers(self, rows: Rows, num_lanes: int) -> Tensor:
        """Return hidden states [K, N, width] at the rows' answer positions, for every lane."""
        hidden = self.body(
            read_M=rows.answer_index_of(num_lanes),
            input_ids=rows.input_ids_RT.repeat(num_lanes, 1),
            position_ids=rows.position_ids_RT.repeat(num_lanes, 1),
            attention_mask=bias_of(rows.mask_R1TT, self.model.dtype),
            use_cache=False,
        ).last_hidden_state
        return hidden.view(num_lanes, -1, hidden.shape[-1])[:, rows.answer_index_N]  # type: ignore[no-any-return]


def load_tokenizer(folder: Path) -> Any:
    """Load a model folder's tokenizer.

    Raises UserError for one that does not load, has no end token, or gives no character offsets.
    """
    with reading(folder, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        tokenizer("A text, for what goes wrong only then.")
    if len(tokenizer) < 2:
        raise UserError(f"{folder}: no tokenizer files (tokenizer.json and its config)")
    if tokenizer.eos_token_id is None or not tokenizer.is_fast:
        raise UserError(f"{folder}: the tokenizer needs an end token and offsets (a fast one)")
    return tokenizer


def load_config(folder: Path) -> PreTrainedConfig:
    """Load a model folder's config, without what it says of how a forward pass is called.

    Attention, and what a pass returns, are for the caller to say; a config may ask for a library
    that is not here, or for tuples. Raises UserError where it does not load.
    """
    with reading(folder, "config"):
        config: PreTrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        config._attn_implementation = _own_attention(config)
        config.output_attentions = config.output_hidden_states = False
        config.return_dict = True
    for key in ("activation_function", "hidden_act", "hidden_activation"):
        name = getattr(config, key, None)
        if isinstance(name, str) and name not in ACT2FN:
            raise UserError(
                f"{folder / CONFIG}: {key} = {quoted(name)}: transformers has no such"
                f"{nearest(name, ACT2FN)}"
            )
    return config


def _own_attention(config: PreTrainedConfig) -> str:
    """Return the attention of a model as transformers has it: `sdpa`, or `eager` where not yet."""
    mapped = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    return "sdpa" if getattr(mapped, "_supports_sdpa", False) else "eager"


def load_model(folder: Path, device: torch.device) -> PreTrainedModel:
    """Load a model folder as transformers does, in fp32 and under its own attention.

    Raises UserError if transformers cannot load it, or if a weight is missing or of another shape.
    """
    disable_progress_bar()  # type: ignore[no-untyped-call]
    config = load_config(folder)
    with reading(folder, "model"):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, config=config, dtype=torch.float32,
            attn_implementation=config._attn_implementation, output_loading_info=True,
            trust_remote_code=False, use_safetensors=True, ignore_mismatched_sizes=True,
        )  # fmt: skip
    model, loading = loaded
    # transformers would go on with random numbers in their place.
    if missing := sorted(loading["missing_keys"]):
        raise UserError(f"{folder}: its safetensors files lack {', '.join(missing[:3])}")
    for name, found, wanted in sorted(loading["mismatched_keys"]):
        raise UserError(
            f"{folder}: {name} is {list(found)} in its safetensors files, and {list(wanted)} by "
            f"its config.json"
        )
    nn.Module.to(model, device)
    return cast(PreTrainedModel, model)


def freeze(model: PreTrainedModel, tokenizer: Any) -> Base:
    """Freeze a model in place and put our modules in."""
    register()
    model.set_attn_implementation(ATTENTION)
    model.train(False).requires_grad_(False)
    fuse_gelus(model)
    head = output_head(model)
    linears: dict[str, FrozenLinear] = {}
    for name, module in list(model.named_modules()):
        if module is head:
            model.set_submodule(name, _frozen_head(head))
        elif isinstance(module, nn.Linear | Conv1D):
            linears[name] = _frozen_linear(module)
            model.set_submodule(name, linears[name])
        elif type(module).__name__ in PLAIN_RMS_NORMS:
            norm = FrozenRMSNorm(module.weight.data, module.variance_epsilon)
            model.set_submodule(name, norm)
    return Base(model, tokenizer, linears, read_rows=ReadRows(model))


def unfreeze(model: PreTrainedModel, tokenizer: Any, precision: Precision) -> Base:
    """Make all weights trainable: the model's own modules with our attention.

    Weights stay as they were loaded; products are made in `precision`.
    """
    register()
    model.set_attn_implementation(ATTENTION)
    model.train(False).requires_grad_(True)
    fuse_gelus(model)
    autocast = None if precision == "fp32" else DTYPES[precision]
    if autocast == torch.float16:
        keep_sums_in_range()
    return Base(model, tokenizer, {}, autocast=autocast)


def chosen_operations(device: str, precision: Precision) -> dict[str, str]:
    """Return what the products of frozen weights are made by, as this machine allows."""
    if device != "cpu":
        return {"card": torch.cuda.get_device_name()}
    is_packed = can_pack(torch.ones(2, 2, dtype=DTYPES[precision]))
    return {
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "products": "packed" if is_packed else "plain",
    }


def output_head(model: PreTrainedModel) -> nn.Module:
    """Return the module that turns hidden states into logits."""
    head: nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return head


def _frozen_linear(module: nn.Linear | Conv1D) -> FrozenLinear:
    weight = module.weight.data
    # Conv1D stores [in, out].
    stored = weight.t().contiguous() if isinstance(module, Conv1D) else weight
    bias = None if module.bias is None else module.bias.data
    frozen = FrozenLinear(stored, bias, stored_transposed=isinstance(module, Conv1D))
    return PackedLinear(frozen) if can_pack(frozen.weight) else frozen


def _frozen_head(head: nn.Module) -> nn.Module:
    """Return a faster head whose weight is the same parameter: embeddings are often tied to it."""
    if not isinstance(head, nn.Linear) or not can_pack(head.weight):
        return head
    bias = None if head.bias is None else head.bias.data
    packed = PackedLinear(FrozenLinear(head.weight.data, bias))
    packed.weight = cast(nn.Parameter, head.weight)
    return packed
