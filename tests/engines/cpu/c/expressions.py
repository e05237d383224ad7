"""Steps that people write, one expression each, besides the case of each operation."""

#: The output [B, 4] of the input a [B, 4], the state b [B, 4] and the cell c, which is that of
#: `test_steps`; a heading begins with #.
EXPRESSIONS = """
    # arithmetic
    a + b * 2 - c.v
    a / (b.square() + 1)
    torch.add(a, b, alpha=0.3)
    torch.addcdiv(a, b, c.v.abs() + 1)
    torch.lerp(a, b, 0.3)
    torch.lerp(a, b, torch.sigmoid(c.v))
    a.remainder(0.7) + b
    torch.fmod(a, 0.7) + b
    (a.detach() // 0.7) * b
    torch.div(a, 0.7, rounding_mode="trunc") + b
    torch.round(a * 3) + b
    torch.round(a, decimals=1) + b
    torch.atan2(a, b + 3)
    torch.atan(a) + b
    torch.asin(torch.tanh(a) * 0.9)
    torch.acos(torch.tanh(a) * 0.9)
    torch.asinh(a) + b
    torch.acosh(a.abs() + 1.5)
    torch.atanh(torch.tanh(a) * 0.9)
    torch.sinc(a) + b
    torch.erfc(a) + b
    torch.erf(a) * torch.exp2(b)
    torch.rad2deg(a) + b
    torch.nan_to_num(a / b)
    torch.nan_to_num(a, nan=0.5, posinf=1.0, neginf=-1.0) + b
    torch.special.expit(a) + b
    torch.float_power(a.abs() + 1, 1.5).to(a.dtype)
    torch.square(a) + torch.sign(b)
    torch.deg2rad(a) + b
    torch.clip(a, -0.5, 0.5) * b
    torch.where(torch.isfinite(a), a, b)
    torch.where(torch.isclose(a, b), a, b)
    torch.bitwise_xor(a > 0, b > 0).to(a.dtype) * a
    torch.masked_fill(a, b > 0.1, 0.7)
    a.true_divide(b.abs() + 1)
    # activations
    F.relu6(a) + F.hardtanh(b)
    F.gelu(a) * F.silu(b)
    F.softplus(a) + F.logsigmoid(b)
    F.rrelu(a, training=False) + b
    F.celu(a) + F.selu(b) + F.elu(a)
    F.softshrink(a) + F.hardshrink(b) + F.tanhshrink(a)
    F.softsign(a) * F.mish(b)
    F.dropout(a, 0.3, training=False) + b
    F.softmin(a, 1) + F.log_softmax(b, 1)
    torch.softmax(a.view(-1, 2, 2), 1).flatten(1)
    F.threshold(a, 0.1, 0.2) * b
    # moves
    torch.flip(a, [1]) * b
    torch.roll(a, 1, 1) * b
    torch.roll(a, -2, -1) + b
    F.pad(a[:, 1:], (1, 0)) * b
    F.pad(a[:, 1:], (0, 1), value=0.5) * b
    F.pad(a[:, None, 1:3], (1, 1), mode="replicate")[:, 0] * b
    F.pad(a[:, None, 1:3], (1, 1), mode="circular")[:, 0] * b
    F.pad(a[:, None, 1:3], (1, 1), mode="reflect")[:, 0] * b
    a[:, :2].repeat_interleave(2, 1) * b
    torch.repeat_interleave(a[:, :2], 2, dim=-1) + b
    a[:, [2, 0, 3, 1]] * b
    a[:, c.order] * b
    a.index_select(1, torch.tensor([0, 0, 2, 2])) * b
    a[:, ::2].repeat(1, 2) * b
    torch.cat([a[:, 1::2], b[:, ::2]], 1)
    a[..., -1:] * b
    a[:, None, :].expand(-1, 3, -1).sum(1) * b
    torch.stack([a, b], 2).flatten(1)[:, 2:6]
    torch.stack([a[:, :2], b[:, :2]], -1).flatten(1)
    torch.stack([a, b], -1).amax(-1)
    torch.stack([a.sum(1), b.sum(1), a[:, 0], b[:, 1]], -1) * a
    a.view(-1, 2, 2).transpose(1, 2).reshape(-1, 4) * b
    a.view(-1, 2, 2).permute(0, 2, 1).flatten(1) + b
    a.view(-1, 2, 2).mT.flatten(1) + b
    a.unflatten(1, (2, 2)).movedim(1, 2).flatten(1) * b
    torch.swapaxes(a.view(-1, 2, 2), 1, 2).reshape(-1, 4) + b
    a.unfold(1, 2, 2).flatten(1) * b
    a.unfold(1, 2, 1)[:, :2].flatten(1) * b
    torch.diagonal(a.view(-1, 2, 2), 0, 1, 2).repeat(1, 2) * b
    torch.tril(a.view(-1, 2, 2)).flatten(1) + b
    torch.triu(a.view(-1, 2, 2), 1).flatten(1) + b
    torch.diag_embed(a[:, :2]).flatten(1) * b
    torch.narrow(a, 1, 1, 2).repeat(1, 2) + b
    torch.hstack([a[:, 2:], b[:, :2]])
    torch.tile(a[:, :2], (1, 2)) * b
    torch.cat(torch.tensor_split(a, 2, 1)[::-1], 1) + b
    torch.unbind(a.view(-1, 2, 2), 2)[1].repeat(1, 2) * b
    torch.cat([a.new_zeros(a.shape[0], 1), a[:, :-1]], 1) + b
    torch.cat([c.v.expand(a.shape[0], 4)[:, :2], b[:, :2]], 1)
    torch.gather(a, 1, (b > 0).long())
    torch.take_along_dim(a, (b > 0).long(), 1)
    # assignments
    assigned(a, (slice(None), slice(1, 3)), b[:, :2])
    assigned(a, (slice(None), 0), 0.5)
    assigned(a, (slice(None), slice(None, None, 2)), b[:, 1:3])
    assigned(a, (Ellipsis, -1), b.sum(1))
    assigned(a, (slice(None), [0, 2]), b[:, 1:3])
    rewritten(a, b)
    torch.where(torch.arange(4) < 2, a, b)
    torch.ops.aten.index_put(a, [None, torch.tensor([0, 2])], b[:, :2], True)
    torch.index_add(a, 1, torch.tensor([0, 2]), b[:, :2])
    # one of many
    F.one_hot((a[:, 0] > 0).long(), 4).to(a.dtype) * b
    F.embedding((a[:, 0] > 0).long(), c.M) * b
    c.M[(a[:, 0] > 0).long()] * b
    c.M[(a[:, 0] * 3).long().clamp(0, 3)] * b
    c.M[(a[:, 1] * 3).long().clamp(min=0).clamp_max(2)] * b
    torch.sort(a, 1)[0] * b
    torch.topk(a, 2, 1)[0].repeat(1, 2) * b
    torch.median(a, 1, keepdim=True)[0] * b
    torch.max(a, 1, keepdim=True)[0] * b
    # products
    c.dense(a) + F.linear(b, c.M, c.v)
    c.bilinear(a, b)
    torch.einsum("bi,ij->bj", a, c.M) + b
    torch.einsum("bi,bi->b", a, b)[:, None] * b
    torch.einsum("bi,bj->bij", a[:, :2], b[:, :2]).flatten(1)
    torch.einsum("bij,bj->bi", a.view(-1, 2, 2), b[:, :2]).repeat(1, 2)
    torch.einsum("bij,bjk->bik", a.view(-1, 2, 2), b.view(-1, 2, 2)).flatten(1)
    torch.einsum("bi,ijk,bk->bj", a, c.K, b)
    torch.einsum("bhi,hij->bhj", a.view(-1, 2, 2), c.heads).flatten(1) + b
    torch.bmm(a[:, None, :2], b.view(-1, 2, 2))[:, 0].repeat(1, 2)
    (a.view(-1, 2, 2) @ b[:, :2, None])[..., 0].repeat(1, 2)
    (a[:, :2, None] * b[:, None, :2]).flatten(1)
    (a[:, :2, None] * b[:, None, :2]).sum((1, 2))[:, None] * b
    a.view(-1, 2, 2).sum(2).repeat(1, 2) * b
    a.view(-1, 2, 2).mean((1, 2), keepdim=True).flatten(1) * b
    torch.matmul(a.view(-1, 2, 2), c.M[:2, :2]).flatten(1) + b
    (a.view(-1, 2, 2) @ c.heads[0]).flatten(1) + b
    F.linear(a.view(-1, 2, 2), c.heads[0], c.v[:2]).flatten(1) * b
    torch.einsum("bij,jk->bki", a.view(-1, 2, 2), c.heads[1]).flatten(1) + b
    (a.view(-1, 2, 2, 1) @ b.view(-1, 2, 1, 2)).sum(1).flatten(1)
    (a.view(-1, 2, 1, 2) @ c.heads).flatten(1) * b
    (a.view(-1, 2, 1, 2) @ b.view(-1, 1, 2, 2) @ c.heads[0]).flatten(1)
    (torch.stack([a, b], 1).view(-1, 2, 2, 2) @ b.view(-1, 1, 2, 2)).sum(1).flatten(1)
    (c.heads[0] @ a.view(-1, 2, 2) @ c.heads[1].T).flatten(1) + b
    torch.outer(c.v, c.v)[0] * a + b
    torch.kron(c.M[:2, :2], c.M[:2, :2])[0] * a
    F.conv1d(a[:, None], c.filter, padding=1)[:, 0] + b
    c.conv(a[:, None])[:, 0] + b
    (a[:, None] @ c.M @ b[:, :, None])[:, :, 0] * b
    F.scaled_dot_product_attention(a.view(-1, 2, 2), b.view(-1, 2, 2), b.view(-1, 2, 2)).flatten(1)
    # reductions
    torch.cumsum(a.flip(1), 1).flip(1) + b
    torch.logcumsumexp(a, 1) + b
    torch.cummax(a, 1)[0] + b
    torch.cummin(a, 1)[0] + b
    torch.cumsum(torch.softmax(a, 1), -1) * b
    a.view(-1, 2, 2).var((1, 2))[:, None] * b
    a.norm(p=3, dim=1, keepdim=True) * b
    a.norm(p=float("inf"), dim=1, keepdim=True) * b
    F.normalize(a, dim=1) * b
    F.normalize(a.view(-1, 2, 2), dim=1).flatten(1) * b
    F.cosine_similarity(a, b, 1)[:, None] * b
    torch.logsumexp(a, 1, keepdim=True) + b
    torch.logsumexp(a.view(-1, 2, 2), (1, 2))[:, None] * b
    torch.diff(a, dim=1).sum(1, keepdim=True) * b
    torch.trapezoid(a, dim=1)[:, None] * b
    F.mse_loss(a, b, reduction="none") + b
    F.smooth_l1_loss(a, b, reduction="none") + b
    (a - b).abs().amax(1, keepdim=True) * b
    # normalisations
    c.layer_norm(a) + c.rms_norm(b)
    c.batch_norm(a) + b
    c.plain_batch_norm(a) + b
    c.group_norm(a) + b
    F.group_norm(a, 2) + b
    F.instance_norm(a[:, None].repeat(1, 2, 1))[:, 0] + b
    F.layer_norm(a.view(-1, 2, 2), (2, 2)).flatten(1) + b
    F.local_response_norm(a[:, :, None], 2)[:, :, 0] + b
"""
