"""Qwen3-Next for training: the published architecture, every module and parameter named as in published checkpoints.

Only the experts of a layer are stacked, [experts, out, in] (export.py splits them): while training, all experts see all tokens
and the routing weights, zero outside the top k, scale what they return. At this size that beats any gather.

The residual stream, norms, router, decay and delta rule are float32, matrix products `dtype`. Every parameter passes through
`dtype` before use, so training sees exactly the weights that a bfloat16 export will hold.

A window holds several conversations. `age`, [batch, tokens], counts the tokens since a token's own conversation began, and no layer
looks further back than that, so that each is read as it will be when the model is used: from an empty state.
"""
import json
from types import SimpleNamespace
from typing import Dict, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from delta_rule import gated_delta_rule

try:
    from torch.nn.attention.flex_attention import BlockMask, flex_attention
    flex_attention = torch.compile(flex_attention, dynamic=False)
except ImportError:  # before PyTorch 2.5: the plain body below
    flex_attention = None

FORGET = -30.0  # log-decay that empties a state: 1e-13, and small enough for sums of a chunk's decays to keep their precision
ID, START, TARGET = 0x3FFF, 0x4000, 0x8000  # of a raw token: its id, the first of a conversation, a training target
BLOCK = 128  # of flex_attention's masks


def load_config(path: str) -> SimpleNamespace:
    with open(path) as file:
        c = SimpleNamespace(**json.load(file))
    interval = getattr(c, "full_attention_interval", 4)
    if not getattr(c, "layer_types", None):
        c.layer_types = ["linear_attention" if (i + 1) % interval else "full_attention" for i in range(c.num_hidden_layers)]
    return c


class Linear(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype))

    def exact(self, x: Tensor) -> Tensor:  # for the few outputs whose rounding would matter: routing, decay
        return F.linear(x.float(), self.weight.to(x.dtype).float())


class Norm(nn.Module):
    """RMS norm, zero-centred: the effective weight is 1 + w."""

    def __init__(self, size: int, c: SimpleNamespace, offset: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.full((size,), 1.0 - offset))
        self.eps, self.offset, self.dtype = c.rms_norm_eps, offset, c.dtype

    def exact(self, x: Tensor) -> Tensor:
        x = x.float()
        weight = self.offset + self.weight.to(self.dtype).float()
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * weight

    def forward(self, x: Tensor) -> Tensor:
        return self.exact(x).to(self.dtype)


class Attention(nn.Module):
    def __init__(self, c: SimpleNamespace):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = c.num_attention_heads, c.num_key_value_heads, c.head_dim
        self.q_proj = Linear(c.hidden_size, self.heads * self.head_dim * 2)  # per head: query, then output gate
        self.k_proj = Linear(c.hidden_size, self.kv_heads * self.head_dim)
        self.v_proj = Linear(c.hidden_size, self.kv_heads * self.head_dim)
        self.o_proj = Linear(self.heads * self.head_dim, c.hidden_size)
        self.q_norm, self.k_norm = Norm(self.head_dim, c), Norm(self.head_dim, c)

    def forward(self, x: Tensor, rope: Tuple[Tensor, Tensor], age: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        q, gate = self.q_proj(x).view(batch, tokens, self.heads, 2 * self.head_dim).chunk(2, -1)
        k = self.k_proj(x).view(batch, tokens, self.kv_heads, self.head_dim)
        v = self.v_proj(x).view(batch, tokens, self.kv_heads, self.head_dim)
        q, k = rotate(self.q_norm.exact(q), rope).to(x.dtype), rotate(self.k_norm.exact(k), rope).to(x.dtype)
        group = self.heads // self.kv_heads
        k, v = k.repeat_interleave(group, 2), v.repeat_interleave(group, 2)
        out = causal_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), age).transpose(1, 2)
        return self.o_proj((out * torch.sigmoid(gate)).flatten(2))


def causal_attention(q: Tensor, k: Tensor, v: Tensor, age: Tensor) -> Tensor:  # [batch, heads, tokens, head_dim]
    """A query sees itself and the `age` tokens before it."""
    batch, _, tokens, width = q.shape
    if flex_attention is not None and q.is_cuda and tokens % BLOCK == 0:
        return flex_attention(q, k, v, block_mask=block_mask(age))
    at = torch.arange(tokens, device=q.device)
    seen = (at[None, None, :] <= at[None, :, None]) & (at[None, None, :] >= (at - age)[:, :, None])
    scores = (q @ k.mT).float() * width ** -0.5
    return scores.masked_fill(~seen[:, None], -torch.inf).softmax(-1).to(v.dtype) @ v


def block_mask(age: Tensor) -> "BlockMask":
    """Of the blocks of keys, a block of queries meets those from where its first query's conversation begins up to its own."""
    def sees(b: Tensor, h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (key <= query) & (key >= query - age[b, query])

    batch, tokens = age.shape
    own = torch.arange(tokens // BLOCK, device=age.device)
    first = (own * BLOCK - age[:, ::BLOCK]) // BLOCK
    blocks = torch.minimum(first[:, :, None] + own, own[-1:])  # of a row, only the first `count` are read
    count = own - first + 1
    return BlockMask.from_kv_blocks(count[:, None].int().contiguous(), blocks[:, None].int().contiguous(), BLOCK_SIZE=BLOCK,
                                    mask_mod=sees)


def conversation_age(starts: Tensor) -> Tensor:  # [batch, tokens], True at the first token of each conversation
    at = torch.arange(starts.shape[1], device=starts.device).expand_as(starts)
    return at - torch.where(starts, at, torch.zeros_like(at)).cummax(1).values


def rope_tables(frequencies: Tensor, tokens: int) -> Tuple[Tensor, Tensor]:
    angles = torch.arange(tokens, device=frequencies.device, dtype=torch.float32)[:, None, None] * frequencies
    return angles.cos(), angles.sin()  # [tokens, 1, rotary dims / 2]


def rotate(x: Tensor, rope: Tuple[Tensor, Tensor]) -> Tensor:  # x [batch, tokens, heads, head_dim]
    cos, sin = rope
    half = cos.shape[-1]
    a, b, rest = x.split([half, half, x.shape[-1] - 2 * half], -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], -1)


class GatedDeltaNet(nn.Module):
    def __init__(self, c: SimpleNamespace):
        super().__init__()
        self.k_heads, self.k_dim = c.linear_num_key_heads, c.linear_key_head_dim
        self.v_heads, self.v_dim = c.linear_num_value_heads, c.linear_value_head_dim
        self.k_size, self.v_size = self.k_heads * self.k_dim, self.v_heads * self.v_dim
        self.group = self.v_heads // self.k_heads
        channels = 2 * self.k_size + self.v_size
        self.in_proj_qkvz = Linear(c.hidden_size, channels + self.v_size)  # both interleaved per key head
        self.in_proj_ba = Linear(c.hidden_size, 2 * self.v_heads)
        self.conv1d = nn.Module()
        self.conv1d.weight = nn.Parameter(torch.empty(channels, 1, c.linear_conv_kernel_dim))
        self.A_log = nn.Parameter(torch.empty(self.v_heads))
        self.dt_bias = nn.Parameter(torch.empty(self.v_heads))
        self.norm = Norm(self.v_dim, c, offset=0.0)
        self.out_proj = Linear(self.v_size, c.hidden_size)

    def forward(self, x: Tensor, age: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        qkvz = self.in_proj_qkvz(x).view(batch, tokens, self.k_heads, -1)
        q, k, v, z = qkvz.split([self.k_dim, self.k_dim, self.group * self.v_dim, self.group * self.v_dim], -1)
        b, a = self.in_proj_ba.exact(x).view(batch, tokens, self.k_heads, -1).chunk(2, -1)
        b, a = b.flatten(2), a.flatten(2)

        qkv = self.conv(torch.cat([q.flatten(2), k.flatten(2), v.flatten(2)], -1), age)
        q, k, v = qkv.float().split([self.k_size, self.k_size, self.v_size], -1)
        q, k = l2_norm(q.unflatten(-1, (self.k_heads, self.k_dim))), l2_norm(k.unflatten(-1, (self.k_heads, self.k_dim)))
        v = v.unflatten(-1, (self.v_heads, self.v_dim))
        rate = self.A_log.to(x.dtype).float().exp()
        g = -rate * F.softplus(a + self.dt_bias.to(x.dtype).float())
        g = g.masked_fill(age[:, :, None] == 0, FORGET)
        out = gated_delta_rule(q * self.k_dim ** -0.5, k, v, g, torch.sigmoid(b))
        out = self.norm.exact(out) * F.silu(z.float().reshape(batch, tokens, self.v_heads, self.v_dim))
        return self.out_proj(out.flatten(2).to(x.dtype))

    def conv(self, x: Tensor, age: Tensor) -> Tensor:  # depthwise and causal: weight[:, -1] meets the current token
        weight = self.conv1d.weight.squeeze(1).to(x.dtype).float()
        width, tokens = weight.shape[1], x.shape[1]
        padded = F.pad(x, (0, 0, width - 1, 0)).float()
        own = [(age >= width - 1 - j).unsqueeze(-1) for j in range(width)]  # that far back, the conversation is still the same
        return F.silu(sum([padded[:, j:j + tokens] * own[j] * weight[:, j] for j in range(width)])).to(x.dtype)


def l2_norm(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6)


class DenseMlp(nn.Module):
    def __init__(self, hidden: int, inner: int):
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = Linear(hidden, inner), Linear(hidden, inner), Linear(inner, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class SparseMoe(nn.Module):
    def __init__(self, c: SimpleNamespace):
        super().__init__()
        experts, hidden, inner = c.num_experts, c.hidden_size, c.moe_intermediate_size
        self.top_k, self.renormalise = c.num_experts_per_tok, c.norm_topk_prob
        self.gate = Linear(hidden, experts)
        self.experts = nn.Module()
        self.experts.gate_proj = nn.Parameter(torch.empty(experts, inner, hidden))
        self.experts.up_proj = nn.Parameter(torch.empty(experts, inner, hidden))
        self.experts.down_proj = nn.Parameter(torch.empty(experts, hidden, inner))
        self.shared_expert = DenseMlp(hidden, c.shared_expert_intermediate_size)
        self.shared_expert_gate = Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        """Returns the output and [2, experts]: the mean probability and the share of tokens of each expert."""
        probabilities = self.gate.exact(x).softmax(-1)
        rest, chosen = probabilities.detach(), torch.zeros_like(probabilities, dtype=torch.bool)
        index = torch.arange(probabilities.shape[-1], device=x.device)
        for _ in range(self.top_k):  # argmax fuses with the softmax, topk would not
            best = index == rest.argmax(-1, keepdim=True)
            rest, chosen = rest.masked_fill(best, -1.0), chosen | best
        weights = probabilities * chosen
        if self.renormalise:
            weights = weights / weights.sum(-1, keepdim=True)

        gate, up = self.experts.gate_proj.to(x.dtype).flatten(0, 1), self.experts.up_proj.to(x.dtype).flatten(0, 1)
        down = self.experts.down_proj.to(x.dtype).transpose(0, 1).flatten(1)
        inner = F.silu(F.linear(x, gate)) * F.linear(x, up)
        inner = inner.unflatten(-1, (weights.shape[-1], -1)) * weights.unsqueeze(-1).to(x.dtype)
        out = F.linear(inner.flatten(-2), down)
        out = out + torch.sigmoid(self.shared_expert_gate(x)) * self.shared_expert(x)
        routing = torch.stack([probabilities.mean((0, 1)), chosen.float().mean((0, 1))])
        return out, routing


class Layer(nn.Module):
    def __init__(self, c: SimpleNamespace, kind: str, sparse: bool):
        super().__init__()
        self.full, self.sparse = kind == "full_attention", sparse
        self.input_layernorm, self.post_attention_layernorm = Norm(c.hidden_size, c), Norm(c.hidden_size, c)
        if self.full:
            self.self_attn = Attention(c)
        else:
            self.linear_attn = GatedDeltaNet(c)
        self.mlp = SparseMoe(c) if sparse else DenseMlp(c.hidden_size, c.intermediate_size)

    def forward(self, x: Tensor, rope: Tuple[Tensor, Tensor], age: Tensor) -> Tuple[Tensor, Optional[Tensor]]:
        h = self.input_layernorm(x)
        x = x + (self.self_attn(h, rope, age) if self.full else self.linear_attn(h, age))
        h = self.post_attention_layernorm(x)
        out, routing = self.mlp(h) if self.sparse else (self.mlp(h), None)
        return x + out, routing


class Mtp(nn.Module):
    def __init__(self, c: SimpleNamespace):
        super().__init__()
        self.fc = Linear(2 * c.hidden_size, c.hidden_size)  # columns: embedding first, then hidden
        self.pre_fc_norm_embedding, self.pre_fc_norm_hidden = Norm(c.hidden_size, c), Norm(c.hidden_size, c)
        self.layers = nn.ModuleList([Layer(c, "full_attention", True)])
        self.norm = Norm(c.hidden_size, c)


class Output(NamedTuple):
    hidden: Tensor  # [batch, tokens, hidden], after the final norm
    mtp_hidden: Optional[Tensor]  # position p: for token p + 2; the last position of a window is meaningless
    routing: Tensor  # [sparse layers, 2, experts]


class Pebble(nn.Module):
    def __init__(self, c: SimpleNamespace, mtp: bool = True, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.mtp_reaches_trunk = False  # whether the draft's loss also shapes the trunk's hidden states
        self.config = c = SimpleNamespace(**{**vars(c), "dtype": dtype})
        self.dtype, self.tied, self.top_k = dtype, c.tie_word_embeddings, c.num_experts_per_tok
        self.padding = getattr(c, "pad_token_id", None)
        width = int(c.head_dim * c.partial_rotary_factor)
        frequencies = c.rope_theta ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        self.register_buffer("rope_frequencies", frequencies.float(), persistent=False)
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        sparse = [i not in c.mlp_only_layers and (i + 1) % c.decoder_sparse_step == 0 for i in range(c.num_hidden_layers)]
        self.model.layers = nn.ModuleList(Layer(c, kind, s) for kind, s in zip(c.layer_types, sparse))
        self.model.norm = Norm(c.hidden_size, c)
        if not c.tie_word_embeddings:
            self.lm_head = Linear(c.hidden_size, c.vocab_size)
        self.mtp = Mtp(c) if mtp else None

    def logits(self, hidden: Tensor) -> Tensor:
        head = self.model.embed_tokens if self.tied else self.lm_head
        return F.linear(hidden, head.weight.to(hidden.dtype))

    def forward(self, tokens: Tensor, age: Optional[Tensor] = None) -> Output:
        """Hidden states for tokens [batch, tokens]; without ages, each row is one conversation."""
        if age is None:
            age = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        rope = rope_tables(self.rope_frequencies, tokens.shape[1])
        embedded = F.embedding(tokens, self.model.embed_tokens.weight.to(self.dtype).float())
        x, routings = embedded, []
        for layer in self.model.layers:
            x, routing = layer(x, rope, age)
            if routing is not None:
                routings.append(routing)
        hidden = self.model.norm(x)
        mtp_hidden = None
        if self.mtp is not None:
            e = self.mtp.pre_fc_norm_embedding(embedded.roll(-1, 1))
            h = self.mtp.pre_fc_norm_hidden(hidden if self.mtp_reaches_trunk else hidden.detach())
            x = self.mtp.fc(torch.cat([e, h], -1)).float()
            x, routing = self.mtp.layers[0](x, rope, age)
            routings.append(routing)
            mtp_hidden = self.mtp.norm(x)
        return Output(hidden, mtp_hidden, torch.stack(routings))

    def losses(self, raw: Tensor, prompt_weight: Tensor) -> Dict[str, Tensor]:
        """raw [batch, tokens]: ids with START and TARGET. Tokens that are no targets weigh prompt_weight in the objectives, padding
        nothing; loss, accuracy and agreement are of the targets alone."""
        tokens, targets = raw & ID, (raw >= TARGET).float()
        prompt = (1 - targets) if self.padding is None else (1 - targets) * (tokens != self.padding)
        weights = targets + prompt_weight * prompt
        out = self(tokens, conversation_age((raw & START) != 0))
        losses, best = next_token_losses(self.logits(out.hidden), tokens, 1)
        share = out.routing[:, 1] * (out.routing.shape[-1] / self.top_k)  # 1 everywhere when balanced
        result = {"objective": mean_over(losses, weights, 1), "loss": mean_over(losses, targets, 1),
                  "accuracy": mean_over(best == tokens.roll(-1, 1), targets, 1),
                  "balance": (out.routing[:, 0] * share).sum(-1).mean(), "load": share.max()}
        if out.mtp_hidden is not None:
            losses, draft = next_token_losses(self.logits(out.mtp_hidden), tokens, 2)
            result["mtp_objective"], result["mtp_loss"] = mean_over(losses, weights, 2), mean_over(losses, targets, 2)
            # a draft is accepted when it equals what the trunk says one position later
            result["mtp_agreement"] = mean_over(draft == best.roll(-1, 1), targets, 2)
        return result

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Embeddings of unit variance, and nothing added to them: all that writes into the residual stream starts at zero. Small
        embeddings (0.02) under random layers left gradients that rounding to bfloat16 alone turned by 90 %, and a tiny model
        needed twice the steps to learn copying."""
        generator = torch.Generator().manual_seed(seed)
        small = ("lm_head.weight", "mlp.gate.weight", "in_proj_ba.weight", "shared_expert_gate.weight")
        into_residual = ("o_proj.weight", "out_proj.weight", "down_proj.weight", "down_proj")
        for name, p in self.named_parameters():
            if name.endswith("conv1d.weight"):
                p.uniform_(-0.5, 0.5, generator=generator)
            elif name.endswith("A_log"):
                p.uniform_(1, 16, generator=generator).log_()
            elif name.endswith(into_residual):
                p.zero_()
            elif name.endswith("embed_tokens.weight"):
                p.normal_(0, 1, generator=generator)
            elif p.dim() >= 2:
                p.normal_(0, 0.02 if name.endswith(small) else p.shape[-1] ** -0.5, generator=generator)
        # A head forgets at a rate A softplus(dt_bias) per token when its input says nothing. Spread evenly in the logarithm,
        # from 1/10 to 1/10,000: some heads of every layer then start with a memory longer than the window.
        for module in self.modules():
            if isinstance(module, GatedDeltaNet):
                rate = 10 ** -(1 + 3 * torch.rand(module.v_heads, generator=generator))
                module.dt_bias.copy_((rate / module.A_log.exp()).expm1().log())


def next_token_losses(logits: Tensor, tokens: Tensor, ahead: int) -> Tuple[Tensor, Tensor]:
    """Cross-entropy of the token `ahead` positions on, meaningless at a window's end, and the likeliest token, per position."""
    labels = F.pad(tokens[:, ahead:], (0, ahead))
    losses = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)
    return losses, logits.detach().argmax(-1)


def mean_over(values: Tensor, weights: Tensor, ahead: int) -> Tensor:
    """Mean of values, weighted as the tokens `ahead` positions on."""
    weights = F.pad(weights[:, ahead:], (0, ahead))
    return (values * weights).sum() / weights.sum().clamp(min=1)
