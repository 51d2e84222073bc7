"""From the configuration to the network and the table of its parameters."""

from __future__ import annotations

import torch

from hydratron.config.model import ModelConfig
from hydratron.models.bert import BertModel, bert_parameters
from hydratron.models.gpt import GPTModel, gpt_parameters
from hydratron.parallel.mesh import ParallelGroup
from hydratron.parallel.random import RandomStreams
from hydratron.parallel.sharding import ParamTable


def build_network(
    model: ModelConfig,
    vocab_size: int,
    group: ParallelGroup,
    streams: RandomStreams,
    device: torch.device | str,
) -> GPTModel | BertModel:
    """The network with empty weights; `vocab_size` is the tokenizer's, before padding."""
    norm = model.layernorm
    network = {"gpt": GPTModel, "bert": BertModel}[model.architecture]
    return network(
        num_layers=model.num_layers,
        hidden_size=model.hidden_size,
        num_attention_heads=model.num_attention_heads,
        ffn_hidden_size=model.ffn_hidden_size,
        padded_vocab_size=model.padded(vocab_size),
        seq_length=model.seq_length,
        dropout=model.dropout,
        gelu=model.gelu,
        fused_attention=model.attention == "sdpa",
        placement=norm.placement,
        residual_scale=norm.residual_scale,
        norm_eps=norm.eps,
        recompute=model.recompute,
        loss_chunk_tokens=model.loss_chunk_tokens,
        group=group,
        streams=streams,
        device=device,
    )


def parameter_table(model: ModelConfig) -> ParamTable:
    """How the parameters of this network are split, drawn and decayed."""
    parameters = {"gpt": gpt_parameters, "bert": bert_parameters}[model.architecture]
    head_dim = model.hidden_size // model.num_attention_heads
    return parameters(model.num_layers, model.init_std, model.layernorm.placement, head_dim)
