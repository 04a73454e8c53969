"""The PTB tokenizer of the official caption metrics in plain Python, equal to pycocoevalcap's in Java.

tokenizer.py states the contract and the differences. rules.py defines the tokens, spelling.py how they are written,
characters.py the tables of letters. patterns.py and automaton.py run the rules as regular expressions.
"""

from .tokenizer import ptb_tokenize

__all__ = ["ptb_tokenize"]
