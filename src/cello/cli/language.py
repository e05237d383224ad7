"""The language of the reader, and what reports of data files say in it."""

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
