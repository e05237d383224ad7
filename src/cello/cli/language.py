"""The language of the reader, and what commands say in it."""

from __future__ import annotations

import os

__all__ = ["chinese", "said"]

_CHINESE = {
    "name": "名称",
    "what it shows": "内容",
    "network": "网络",
    "parameters": "参数",
    "parameters: {}": "参数：{}",
    "step {}, unit {}:": "第 {} 步，单元 {}：",
    "step {}, unit {}, layer {}:": "第 {} 步，单元 {}，层 {}：",
    "✓ {} of {} values are as stated": "✓ {} 个数值与文件所写一致（共 {} 个）",
    "✗ {} of {} values are as stated; (·) is what is stated": (
        "✗ {} 个数值与文件所写一致（共 {} 个）；(·) 是文件所写的值"
    ),
    "\nOn files that no network has seen:\n": "\n在网络没有见过的文件上：\n",
    "accuracy": "正确率",
    "in strings, comments": "字符串、注释中",
    "seconds": "秒",
    "an epoch*": "一轮*",
    "reference*": "参考引擎*",
    "* Seconds for the forward and backward passes of an epoch, from {} of its {} batches: "
    "with the engine that runs, and with the reference engine, which calls the step once for "
    "each step.": (
        "* 一轮的前向和反向用的秒数，由 {} 个批次（共 {} 个）算出：用运行的引擎，"
        "和用参考引擎，它每一步都调用一次 step。"
    ),
    "\nOf the LSTM's {} memories, number {} tells best what is inside a string or comment:\n"
    "area under the ROC curve {} on validation text, where it was found, and {} on test text.": (
        "\nLSTM 的 {} 个记忆里，第 {} 个最能说明什么在字符串或注释里面：\n"
        "ROC 曲线下面积在验证文本上是 {}（在那里找到它），在测试文本上是 {}。"
    ),
    "\nEvery value of the LSTM on these lines, to look into: {}": (
        "\nLSTM 在这几行上的所有值，可以打开看：{}"
    ),
    "\n{} from line {} on, coloured by memory {}. Below each line, what the LSTM says each\n"
    "character is: {};\na capital or _, in red, where it errs.\n": (
        "\n{} 从第 {} 行起，按第 {} 个记忆上色。每行下面是 LSTM 说每个字符是什么：\n"
        "{}；\n说错的地方是红色的大写字母或 _。\n"
    ),
    "memory {}, from outside to inside:": "第 {} 个记忆，从外面到里面：",
    "\nThe models are in {}; try: cello show {}": "\n模型在 {}；试一试：cello show {}",
    "written to {}": "已写入 {}",
    "the page is at {}\nCtrl-C stops it": "网页在 {}\n按 Ctrl-C 停止",
    "stopped": "已停止",
    "wrote {}: open it in a browser": "已写入 {}：请在浏览器中打开",
    "wrote {}: change it and run it with: cello run {}": "已写入 {}：修改后用 cello run {} 运行",
}


def chinese() -> bool:
    """Whether the environment asks for Chinese, as $LANG=zh_CN.UTF-8 does."""
    names = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
    return next(filter(None, map(os.environ.get, names)), "").startswith("zh")


def said(text: str, *parts: object) -> str:
    """A text in the language of the reader, with parts in the places of {}.

    >>> said("step {}, unit {}:", 3, 0)
    'step 3, unit 0:'
    """
    return (_CHINESE[text] if chinese() else text).format(*parts)
