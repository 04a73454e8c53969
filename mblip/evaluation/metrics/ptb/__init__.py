"""The PTB tokenizer of the official caption metrics, in plain Python: equal to pycocoevalcap's, which runs Java.

tokenizer.py has the contract and what differs, rules.py what becomes a token, spelling.py how it is written,
characters.py the tables of letters, patterns.py and automaton.py the regular expressions that run the rules.
"""

from .tokenizer import ptb_tokenize

__all__ = ["ptb_tokenize"]
