// What the page says, in English; and the same in Chinese.

const CHINESE = {
  "sequence": "序列", "compare with": "对比", "nothing": "无", "layer": "层", "value": "变量",
  "unit": "单元", "order": "排序", "by number": "按编号", "by peak in time": "按峰值时间",
  "by clustering": "按聚类", "by score": "按得分", "by variance": "按方差",
  "first step": "第一步", "step back": "上一步", "play": "播放", "pause": "暂停",
  "step on": "下一步", "last step": "最后一步", "zoom in": "放大", "zoom out": "缩小",
  "fit": "适合宽度", "largest change": "最大变化", "light or dark": "浅色或深色",
  "中文": "English", "keys": "按键", "the net's output": "网络输出", "the net": "网络",
  "step": "步", "read": "读入", "This sequence is empty.": "此序列为空。", "Search a unit": "搜索单元",
  "regular expression": "正则表达式", "paint": "涂选", "clear": "清除", "rank units": "给单元排名",
  "in all values of the layer": "在该层所有变量中",
  "Which unit tells where this is? Write a regular expression, or paint a part of the text.":
    "哪个单元标记了这些位置？请写正则表达式，或在文本中涂选。",
  "Mark some steps, but not all.": "请标记一部分（而非全部）步。",
  "not a regular expression": "不是正则表达式", "steps are marked": "步已标记",
  "1 tells it always, 0.5 says nothing": "1 表示总能区分，0.5 表示毫无信息",
  "The arithmetic of this step is not in this file.": "此文件不含这一步的算式。",
  "The equations": "方程",
  "numbers are rounded to half precision": "数字已舍入为半精度",
  "Force a value": "强制取值", "from step": "从步", "to step": "到步", "to": "设为",
  "force": "强制", "undo": "撤销", "all units": "所有单元", "What to read": "要读入的内容",
  "Where an output of this step comes from": "这一步的输出从何而来",
  "show": "显示", "output": "输出", "read from the end": "从末尾读起",
  "one step back or on": "后退或前进一步", "ten steps back or on": "后退或前进十步",
  "first or last step": "第一步或最后一步", "another unit": "换单元",
  "another value": "换变量", "play or pause": "播放或暂停", "zoom": "缩放",
  "to the largest change, again for the next": "跳到最大变化，再按到次大",
  "search": "搜索", "mark this step as to be remembered": "把这一步标记为要记住",
  "these keys": "显示按键",
  "1 lets in, 0 shuts out": "1 放入，0 挡住", "1 lets out, 0 keeps in": "1 放出，0 保留",
  "1 lets through, 0 shuts out": "1 放行，0 挡住",
  "1 remembers, 0 forgets": "1 记住，0 遗忘", "1 forgets, 0 remembers": "1 遗忘，0 记住",
  "1 looks at the old state, 0 does not": "1 看旧状态，0 不看",
  "1 keeps the old state, 0 takes the new": "1 保留旧状态，0 采用新状态",
  "1 takes the new, 0 keeps the old state": "1 采用新状态，0 保留旧状态",
};

export function said(language, text) {
  return language === "zh" ? CHINESE[text] ?? text : text;
}
