"""Makes a tokenizer of single bytes in a folder: AIPerf needs one, and those it knows by name are downloaded.

    tokenizer.py FOLDER
"""

import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

vocabulary = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
vocabulary["<eos>"] = len(vocabulary)
tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, eos_token="<eos>", bos_token="<eos>", pad_token="<eos>",
    chat_template="{% for m in messages %}{{ m['content'] }}{% endfor %}",
).save_pretrained(sys.argv[1])
