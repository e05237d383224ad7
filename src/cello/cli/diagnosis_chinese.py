"""What `cello diagnose` finds, in Chinese: each sentence of a finding by its English form."""

from __future__ import annotations

import re
from functools import cache

import click

from cello.cli.output import paragraph
from cello.layers.paths import joined
from cello.see.diagnosis.finding import Diagnosis
from cello.see.numbers import short

__all__ = ["SENTENCES", "in_chinese", "print_in_chinese"]

#: "{}" stands for a part that is put in: in both languages the same ones, in the same order.
SENTENCES = {
    "{} step": "{} 步",
    "{} steps": "{} 步",
    "{} sequence": "{} 个序列",
    "{} sequences": "{} 个序列",
    "gradient explodes": "梯度爆炸",
    "on its way back through {} steps, the gradient of the state grows to {} times its size": (
        "状态的梯度往回走 {} 步，增大到原来的 {} 倍"
    ),
    "gradient clipping, smaller recurrent weights (orthogonal ones keep the size), a smaller "
    "learning rate, shorter tbptt_steps": (
        "裁剪梯度；减小循环权重（正交的权重保持大小）；减小学习率；减小 tbptt_steps"
    ),
    "gradient vanishes": "梯度消失",
    "on its way back through {} steps, the gradient of the state shrinks to {} times its size: "
    "what was longer ago cannot be learnt": (
        "状态的梯度往回走 {} 步，缩小到原来的 {} 倍：更早的内容学不到"
    ),
    "a cell with a memory (LSTM, GRU) and open forget gates, orthogonal recurrent weights, larger "
    "ones if they are small": (
        "换用有记忆的 cell（LSTM、GRU），打开遗忘门；用正交的循环权重，太小时加大"
    ),
    "read at the wrong end": "在错误的一端读取",
    "the output depends only on the last step of this direction, where it has read a single "
    "input": "输出只取决于这个方向在最后一步的值，而它在那里只读了一个输入",
    "the output depends only on the first step of this direction, where it has read a single "
    "input": "输出只取决于这个方向在第一步的值，而它在那里只读了一个输入",
    "take the backward half at the first step of each sequence and the forward half at the last "
    "one, or the final state, which has both": (
        "反向的一半取每个序列的第一步，正向的一半取最后一步；或者取最终状态，它两者都有"
    ),
    "take the forward half at the last step of each sequence and the backward half at the first "
    "one, or the final state, which has both": (
        "正向的一半取每个序列的最后一步，反向的一半取第一步；或者取最终状态，它两者都有"
    ),
    "read past the end": "在结尾之后读取",
    "the output depends on nothing of {} of {} sequences, those that are shorter than the longest: "
    "past its end a sequence has zeros": (
        "有 {} 个序列（共 {} 个）与输出无关，它们比最长的短：序列结尾之后是零"
    ),
    "take the last step of each sequence, y[lengths - 1, range(B)], or the final state": (
        "取每个序列的最后一步，即 y[lengths - 1, range(B)]，或者取最终状态"
    ),
    "inputs that are not finite": "输入不是有限的数",
    "{} of {} steps hold NaN or infinity": "有 {} 步（共 {} 步）含有 NaN 或无穷大",
    "look where the data come from; fill or leave out what is missing": (
        "查看数据的来源；缺的值补上或去掉"
    ),
    "inputs of wrong scale": "输入的尺度不对",
    "{} of {} features are large: feature {} has a root mean square of {}": (
        "有 {} 个特征（共 {} 个）很大：特征 {} 的均方根是 {}"
    ),
    "a whole step has a norm of {}: next to nothing comes in": (
        "一整步的范数是 {}：几乎什么也没有进来"
    ),
    "one feature spreads {} times as far as another": "一个特征的分散程度是另一个的 {} 倍",
    "bring each feature to mean 0 and spread 1 over the training data": (
        "使每个特征在训练数据上均值为 0、标准差为 1"
    ),
    "saturated gate": "门饱和",
    "saturated units": "单元饱和",
    "{} of the units are always shut (within 1 % of the bound, in 99 % of the steps), so no "
    "gradient comes through": "{} 的单元始终关着（99 % 的步里离边界不到 1 %），梯度过不去",
    "{} of the units are always open (within 1 % of the bound, in 99 % of the steps), so no "
    "gradient comes through": "{} 的单元始终开着（99 % 的步里离边界不到 1 %），梯度过不去",
    "{} of the units are always at -1 or 1 (within 1 % of the bound, in 99 % of the steps), so no "
    "gradient comes through": "{} 的单元始终在 -1 或 1（99 % 的步里离边界不到 1 %），梯度过不去",
    "smaller inputs or smaller initial weights, a bias nearer to 0, a smaller learning rate, layer "
    "normalization": "减小输入或初始权重；使偏置更接近 0；减小学习率；层归一化",
    "dead units": "单元不起作用",
    "dead gate": "门不起作用",
    "{} of {} units hold one value at all steps of all sequences": (
        "有 {} 个单元（共 {} 个）在所有序列的所有步上都是同一个值"
    ),
    "a smaller learning rate, smaller initial weights, an activation that is not flat (tanh, leaky "
    "relu); fewer units, if they are not needed": (
        "减小学习率；减小初始权重；用不平的激活函数（tanh、leaky relu）；用不着的单元就减少"
    ),
    "weights into the gate that are not 0; look whether its parameters are trained": (
        "门的权重不能为 0；看看它的参数有没有在训练"
    ),
    "forgets at once": "立刻忘掉",
    "of what a unit holds, one step keeps {} at most, {} on average": (
        "单元里的内容，一步之后至多留下 {}，平均留下 {}"
    ),
    "begin with forget gates that are open: forget_bias=1 or more (F. Gers, J. Schmidhuber and F. "
    "Cummins, 2000); a smaller learning rate": (
        "让遗忘门一开始就打开：forget_bias=1 或更大（F. Gers、J. Schmidhuber、F. Cummins，2000）；"
        "减小学习率"
    ),
    "remembers only what it said": "只记得自己说过的话",
    "its only memory is the probabilities that it gave out, and in {} of the steps one of them is "
    "{} or more: the next step is told which answer that was, and nothing else of what was read": (
        "它唯一的记忆是自己给出的概率，而在 {} 的步里其中一个达到 {} 以上："
        "下一步只知道那是哪个答案，读过的其他内容都不知道"
    ),
    "more of the sequence at each step, as the words around (--window of cello train tag); a "
    "network that remembers its hidden layer (Elman, LSTM, GRU)": (
        "每一步读进序列的更多内容，例如前后的词（cello train tag 的 --window）；"
        "换用记住隐藏层的网络（Elman、LSTM、GRU）"
    ),
    "state explodes": "状态爆炸",
    "state vanishes": "状态消失",
    "it is not finite from step {} of the reading on": "从读到第 {} 步起，它不再是有限的数",
    "smaller recurrent weights, a bounded activation, gradient clipping": (
        "减小循环权重；用有界的激活函数；裁剪梯度"
    ),
    "its size (root mean square) is {} half way and {} at the end of the sequences": (
        "它的大小（均方根）在半路是 {}，在序列结尾是 {}"
    ),
    "smaller recurrent weights (a spectral radius of at most 1), a bounded activation": (
        "减小循环权重（谱半径不超过 1）；用有界的激活函数"
    ),
    "its size (root mean square) is {} at step {} of the reading and {} at the end": (
        "它的大小（均方根）是 {}（读到第 {} 步时），结尾是 {}"
    ),
    "larger recurrent weights (a spectral radius near 1), open forget gates, sequences that do not "
    "go on when the inputs have ended": (
        "加大循环权重（谱半径接近 1）；打开遗忘门；输入结束后序列不再继续"
    ),
    "the forecast is the input, shifted": "预测就是移了一步的输入",
    "over {} forecasts, it is {} as far from the last value known as the truth is, and {} as far "
    "from the truth as that value: its curve looks right, one step late, and says nothing that the "
    "naive forecast does not": (
        "在 {} 次预测中，它与最后一个已知值的距离是真值的 {}，与真值的距离是那个值的 {}："
        "曲线看起来对，只是晚了一步，并不比朴素预测多说什么"
    ),
    "compare with the naive forecast (MASE) first; covariates that are known in advance (--known), "
    "a longer context with a whole season in it; where each change is chance, as in a random walk, "
    "no network can do better": (
        "先与朴素预测比较（MASE）；用事先已知的协变量（--known），用含有整个季节的更长上文；"
        "如果每次变化都是偶然的，例如随机游走，什么网络也做不得更好"
    ),
}


@cache
def _forms() -> list[tuple[re.Pattern[str], str]]:
    """Those with more text of their own first."""
    order = sorted(SENTENCES, key=lambda text: -len(text))
    return [
        (re.compile("(.+?)".join(map(re.escape, text.split("{}")))), SENTENCES[text])
        for text in order
    ]


def in_chinese(text: str) -> str:
    """A sentence of a finding in Chinese; as it is if it is not known.

    >>> in_chinese("3 of 7 steps hold NaN or infinity")
    '有 3 步（共 7 步）含有 NaN 或无穷大'
    """
    found = ((form.fullmatch(text), chinese) for form, chinese in _forms())
    for match, chinese in found:
        if match:
            return chinese.format(*match.groups())
    return text


def print_in_chinese(found: Diagnosis) -> None:
    """Print what printing a `Diagnosis` prints, in Chinese."""
    steps, _, sequences = found.seen.partition(" of ")
    where = f" {in_chinese(sequences)}的 {in_chinese(steps)}"
    count = len(found.findings)
    click.echo(f"在{where}里{f'发现 {count} 个问题' if count else '没有发现问题'}")
    for finding in found:
        place = f"{finding.where}：" if finding.where else ""
        click.echo(f"\n{place}{in_chinese(finding.kind)}")
        click.echo(paragraph(f"看到：{in_chinese(finding.evidence)}"))
        click.echo(paragraph(f"通常有用：{in_chinese(finding.helps)}"))
    click.echo("\n若干步之后，状态的梯度还剩：")
    for layer, by_distance in found.gradients().items():
        shown = "，".join(f"{d}：{short(left, 2)}" for d, left in by_distance.items())
        click.echo(f"  {joined(layer, 'state')}  {shown}")
