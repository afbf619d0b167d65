"""Prints the header blocks of one connection with their decoded sizes: header_blocks.py SEED"""

import random
import sys

import hpack

random.seed(int(sys.argv[1]))
ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_=;/"


def text(longest):
    return "".join(random.choices(ALPHABET, k=random.randrange(longest)))


names = [":authority", ":path", "te", "cookie", "authorization"] + [text(30) for _ in range(20)]
values = ["", "trailers", "/"] + [text(200) for _ in range(20)]
encoder = hpack.Encoder()
for _ in range(50):
    if random.random() < 0.2:
        encoder.header_table_size = random.randrange(4097)
    fields = [
        hpack.NeverIndexedHeaderTuple(random.choice(names), text(1000))
        if random.random() < 0.2
        else hpack.HeaderTuple(random.choice(names), random.choice(values))
        for _ in range(random.randrange(1, 15))
    ]
    size = sum(len(name) + len(value) + 32 for name, value in fields)
    print(encoder.encode(fields, huffman=random.random() < 0.7).hex(), size)
