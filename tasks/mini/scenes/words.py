"""The closed vocabulary of the mini edition: sentence forms and words, in English and in Chinese."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

Word = Union["Text", str, int]


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence form with its words: one meaning that can be said in English or in Chinese."""

    form: str
    words: tuple[Word, ...] = ()

    def say(self, chinese: bool = False) -> str:
        """The sentence; a form without a Chinese counterpart is a KeyError."""
        form = FORMS[self.form] if chinese else self.form
        if not chinese:
            return form.format(*(say(word) for word in self.words))
        # a space before numbers, as Chinese typography has it
        said = (f" {word}" if isinstance(word, int) else say(word, True) for word in self.words)
        return form.format(*said).strip()


def say(word: Word, chinese: bool = False) -> str:
    """A word, number or text in the language."""
    if isinstance(word, Text):
        return word.say(chinese)
    if isinstance(word, int):
        return str(word)
    return WORDS[word] if chinese else word


def thing(color: str, shape: str) -> Text:
    """A coloured shape, such as `red circle`."""
    return Text("{} {}", (color, shape))


YES, NO = "Yes", "No"
#: Stands between a sentence and the letter where a reader looks for the word.
ANSWER = ", answer:"

WORDS = {
    "Yes": "是",
    "No": "否",
    "red": "红色",
    "green": "绿色",
    "blue": "蓝色",
    "yellow": "黄色",
    "purple": "紫色",
    "orange": "橙色",
    "circle": "圆形",
    "square": "方形",
    "triangle": "三角形",
    "cross": "十字形",
    "diamond": "菱形",
    "ring": "环形",
    "left of": "左边",
    "right of": "右边",
    "above": "上边",
    "below": "下边",
    "top left": "左上",
    "top right": "右上",
    "bottom left": "左下",
    "bottom right": "右下",
    "up": "上升",
    "down": "下降",
    "objects": "物体",
}

#: English form -> Chinese form.
FORMS = {
    "{}": "{}",
    "{} {}": "{}{}",
    "{}s": "{}",
    "{} {}s": "{}{}",
    "{} objects": "{}物体",
    "What is the value of the {} bar?": "{}柱是多少？",
    "The {} bar is {}": "{}柱是{}",
    "What color is the highest bar?": "最高的柱是什么颜色？",
    "What color is the lowest bar?": "最低的柱是什么颜色？",
    "The highest bar is {}": "最高的柱是{}",
    "The lowest bar is {}": "最低的柱是{}",
    "What is the difference between the {} bar and the {} bar?": "{}柱和{}柱差多少？",
    "What is the sum of the {} bar and the {} bar?": "{}柱和{}柱的和是多少？",
    "The {} bar is {} and the {} bar is {}": "{}柱是{}，{}柱是{}",
    "The {} bar is {}, the {} bar is {}, the difference is {}": "{}柱是{}，{}柱是{}，差{}",
    "The {} bar is {}, the {} bar is {}, the sum is {}": "{}柱是{}，{}柱是{}，和是{}",
    "Is the {} bar higher than the {} bar?": "{}柱比{}柱高吗？",
    "How many bars are higher than {}?": "高于{}的柱有多少？",
    "Higher than {}: {} bars": "高于{}的柱有{}",
    "What color is the bar left of the highest bar?": "最高的柱左边的柱是什么颜色？",
    "What color is the bar right of the highest bar?": "最高的柱右边的柱是什么颜色？",
    "The highest bar is {} and the bar left of it is {}": "最高的柱是{}，左边的柱是{}",
    "The highest bar is {} and the bar right of it is {}": "最高的柱是{}，右边的柱是{}",
    "Does the {} line go up or down?": "{}线上升还是下降？",
    "The {} line goes {}": "{}线{}",
    "What color has the largest share?": "什么颜色的份额最大？",
    "The largest share is {}": "最大的份额是{}",
    "What color has the smallest share?": "什么颜色的份额最小？",
    "The smallest share is {}": "最小的份额是{}",
    "What is the value of the {}?": "{}的柱是多少？",
    "The {} is {} and its bar is {}": "{}是{}，柱是{}",
    "What shape is in the {} row and the {} column?": "{}行{}列是什么形状？",
    "The shape is {}": "形状是{}",
    "How many {} are there?": "{}有多少？",
    "There are {} {}": "{1}有{0}",
    "There are {} {} and {} {}": "{1}有{0}，{3}有{2}",
    "What color is the {}?": "{}是什么颜色？",
    "The {} is {}": "{}是{}",
    "What shape is the {} object?": "{}物体是什么形状？",
    "The {} object is a {}": "{}物体是{}",
    "Where is the {}?": "{}在哪里？",
    "The {} is at the {}": "{}在{}",
    "Where is the {} relative to the {}?": "{}在{}的哪里？",
    "Is the {} {} the {}?": "{0}在{2}的{1}吗？",
    "The {} is {} the {}": "{0}在{2}的{1}",
    "What shape is {} the {} object?": "{1}物体的{0}是什么形状？",
    "The {} object is a {} and {} it is a {}": "{0}物体是{1}，{2}是{3}",
    "Where is the object that differs?": "不同的物体在哪里？",
    "The {} {} is at the {}": "{}{}在{}",
    "What color is the largest object?": "最大的物体是什么颜色？",
    "What color is the smallest object?": "最小的物体是什么颜色？",
    "The largest object is {}": "最大的物体是{}",
    "The smallest object is {}": "最小的物体是{}",
    "What color is the object in front?": "前面的物体是什么颜色？",
    "What color is the object at the back?": "后面的物体是什么颜色？",
    "The object in front is {}": "前面的物体是{}",
    "The object at the back is {}": "后面的物体是{}",
    "Are there more {} objects than {} objects?": "{}物体比{}物体多吗？",
    "What comes after {}?": "{}后面是什么？",
    "After {} comes {}": "{}后面是{}",
    "Which region has the {}?": "{}在什么颜色的地方？",
    "The {} is in the {} region": "{}在{}的地方",
    "Which region is {} the {} region?": "{1}的{0}是什么颜色的地方？",
    "The {} region is {} the {} region": "{2}的{1}是{0}的地方",
}
