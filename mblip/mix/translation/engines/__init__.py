"""What translates: the protocol (engine.py), NLLB through transformers (nllb.py) and through CTranslate2
(ctranslate2.py)."""
