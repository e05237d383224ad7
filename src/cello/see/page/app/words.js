// What the page says, in English; and the same in Chinese. "{}" stands for a part that is put in,
// and "[step|steps]" after it for one of the two, as it is 1 or not.

const CHINESE = {
  "choices": "选项", "no number": "非数值", "larger": "放大", "smaller": "缩小", "a recurrent net": "循环网络",
  "sequence": "序列", "compare with": "对比", "nothing": "无", "layer": "层", "value": "变量",
  "unit": "单元", "order": "排序", "by number": "按编号", "by peak in time": "按峰值时间",
  "by clustering": "按聚类", "by score": "按得分", "by variance": "按方差",
  "first step": "第一步", "step back": "上一步", "play": "播放", "pause": "暂停",
  "step on": "下一步", "last step": "最后一步", "zoom in": "放大", "zoom out": "缩小",
  "fit": "适合宽度", "largest change": "最大变化", "light or dark": "浅色或深色",
  "colours or greys": "彩色或灰度",
  "中文": "English", "keys": "快捷键", "the net's output": "网络输出", "the net": "网络",
  "step": "时间步", "read": "读入", "This sequence is empty.": "此序列为空。",
  "along time: arrow keys, ? for all keys": "沿时间：方向键，按 ? 查看所有快捷键",
  "what was read": "读入的内容", "the cell's diagram": "结构图", "{} along time": "{} 随时间的变化",
  "{}: {} units, one a row": "{}：{} 个单元，每行一个", "each by its own range": "各按自身取值范围",
  "difference of the other": "与对比序列之差", "save as CSV": "存为 CSV", "lowest": "最低", "highest": "最高",
  "Find a unit": "查找单元", "regular expression": "正则表达式", "paint": "涂选", "clear": "清除",
  "rank units": "给单元排名", "among": "范围", "this value": "此变量",
  "all values of the layer": "该层所有变量", "all layers": "所有层",
  "Which unit tells where this is? Write a regular expression, or paint a part of the text or the curve.":
    "哪个单元能指示这些位置？请写正则表达式，或在文本、曲线上涂选。",
  "Mark some steps, but not all.": "请标记一部分时间步，而不是全部。",
  "not a regular expression": "不是正则表达式", "{} [step is|steps are] marked": "已标记 {} 个时间步",
  "This expression takes too long.": "此表达式耗时过长。",
  "1 tells it always, 0.5 says nothing; (−) is low there":
    "1 表示总能区分，0.5 表示毫无信息；(−) 表示在标记处取值低",
  "By chance, with the marks shifted along time in {} [way|ways], the best of the {} [unit|units] reaches {}.":
    "偶然水平：把标记沿时间平移 {} 次，{} 个单元中最好的达到 {}。",
  "not above chance": "不高于偶然水平",
  "The arithmetic of this step is not in this file.": "此文件不含这一步的算式。",
  "The numbers of this page are damaged.": "此页面的数据已损坏。",
  "The equations": "方程",
  "numbers are rounded to half precision": "数值已舍入为半精度",
  "Force a value": "强制取值", "from step": "从时间步", "to step": "到时间步", "to": "设为",
  "force": "强制", "undo": "撤销", "all units": "所有单元", "What to read": "要读入的内容",
  "Where an output of this step comes from": "这一步的输出从何而来",
  "back": "返回", "shares": "贡献",
  "Of this text, {} [sequence|sequences] of {} [step|steps] are read at most.": "此文本最多读入 {} 个序列、每个 {} 步。",
  "gradient × input of each step": "每一步的梯度 × 输入",
  "This file holds it for other steps, the nearest:": "此文件只存有其他步的结果，最近的一步是：",
  "show": "显示", "output": "输出", "read from the end": "从末尾读起",
  "one step back or on": "后退或前进一步", "ten steps back or on": "后退或前进十步",
  "first or last step": "第一步或最后一步", "another unit": "换单元",
  "another value": "换变量", "play or pause": "播放或暂停", "play slower or faster": "放慢或加快播放", "zoom": "缩放",
  "zoom around the pointer; two fingers do so too": "以指针为中心缩放；双指亦可",
  "to the largest change, again for the next": "跳到最大变化，再按到次大",
  "find a unit": "查找单元", "mark this step, or unmark it": "标记这一步，或取消标记",
  "mark all from the last marked step to this one": "从上次标记处一直标记到这一步",
  "these keys": "显示快捷键", "Close": "关闭",
  "1 lets in, 0 shuts out": "1 放入，0 挡住", "1 lets out, 0 keeps in": "1 放出，0 保留",
  "1 lets through, 0 shuts out": "1 放行，0 挡住",
  "1 remembers, 0 forgets": "1 记住，0 遗忘", "1 forgets, 0 remembers": "1 遗忘，0 记住",
  "1 looks at the old state, 0 does not": "1 看旧状态，0 不看",
  "1 keeps the old state, 0 takes the new": "1 保留旧状态，0 采用新状态",
  "1 takes the new, 0 keeps the old state": "1 采用新状态，0 保留旧状态",
  "What if?": "如果……会怎样？", "The net runs …": "网络运行中……",
  "run the net in this page": "在此页面中运行网络",
  "Run in this page, the net gives other numbers than were recorded, by up to {}: it cannot be changed here.":
    "在此页面中运行时，网络给出的数值与记录不同，最多相差 {}：不能在此修改。",
  "This page runs the net itself: {} numbers as recorded, the largest difference {}.":
    "此页面自行运行网络：{} 个数值与记录一致，最大差异 {}。",
  "This page does not know “{}”: it knows what was recorded.": "此页面不认识“{}”：它只认识记录过的内容。",
  "Nothing can be changed here: {}.": "此处不能修改：{}。",
  "swap with the next step": "与下一步交换", "input": "输入", "shut": "关", "open": "开",
  "shut at all steps": "在所有步关闭", "as computed": "按计算值", "draw on the curve": "在曲线上绘制",
  "the first {} of {}": "前 {} 个，共 {} 个",
  "Weights: drag a number, or type": "权重：拖动数字，或键入", "set all back": "全部还原",
  "as recorded": "按记录", "with the changes": "修改后", "{} = forced = {}": "{} = 强制 = {}",
  "Python has ended or been restarted: run the cell again.": "Python 已结束或已重启：请重新运行此单元格。",
  "Python has not answered yet. If it has been restarted, run the cell again.":
    "Python 尚未回应。如果它已重启，请重新运行此单元格。",
};

export function said(language, text, ...parts) {
  const words = language === "zh" ? CHINESE[text] ?? text : text;
  return parts.reduce((sentence, part) => sentence.replace(
    /\{\}(.*?)(?:\[(.*?)\|(.*?)\]|(?=\{\})|$)/,
    (_, between, one = "", many = "") => `${part}${between}${part === 1 ? one : many}`), words);
}
