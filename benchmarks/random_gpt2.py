"""Write a model folder: GPT-2 124M of random weights with the real tokenizer.

python benchmarks/random_gpt2.py FOLDER
"""

import sys

from contenders import gpt2_tokenizer, new_model

new_model().save_pretrained(sys.argv[1])
gpt2_tokenizer().save_pretrained(sys.argv[1])
