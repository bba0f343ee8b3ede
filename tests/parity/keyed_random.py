"""The keyed random numbers of framework/base/random.h in numpy, number for number, so that fixtures and C++ tests can
draw the same weights and images without storing them."""
import numpy as np

PURPOSE_TEST = 10


def key_of(name):
    """64-bit FNV-1a hash of a name."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def philox(counter, key):
    """Philox4x32-10 of counters [4, n] (uint64 arrays that hold 32-bit words) under one key."""
    mask = np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = (np.asarray(c, np.uint64) for c in counter)
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(10):
        product0, product1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = ((product1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0), product1 & mask,
                          (product0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1), product0 & mask)
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3])


def bits(count, seed, a, b, purpose=PURPOSE_TEST):
    """The first `count` numbers of RandomStream(seed, purpose, a, b).next()."""
    blocks = np.arange((count + 3) // 4, dtype=np.uint64)
    key = (((seed & 0xFFFFFFFF) ^ (purpose * 0x85EBCA6B)) & 0xFFFFFFFF, ((seed >> 32) + purpose) & 0xFFFFFFFF)
    words = [np.full_like(blocks, word) for word in (a, b & 0xFFFFFFFF, b >> 32)]
    return philox([blocks, *words], key).T.reshape(-1)[:count]


def uniform(count, low, high, seed, a, b):
    """The first `count` numbers of RandomStream(seed, Purpose::test, a, b).uniform(low, high), float32 arithmetic."""
    unit = (bits(count, seed, a, b) >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)
    low, high = np.float32(low), np.float32(high)
    return low + (high - low) * unit


assert [int(w[0]) for w in philox([[0], [0], [0], [0]], (0, 0))] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
