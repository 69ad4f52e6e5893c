"""Counter-based random numbers: a number is a function of where it is used.

Philox with two words and seven rounds (Salmon et al., *Parallel random numbers: as easy as 1,
2, 3*, 2011). So masks do not depend on the device, on threads or on the order of work.
"""


def philox(counter_0, counter_1, key):
    """32 random bits, from two counters and a key of 32 bits each, all held in 64 bits."""
    for _ in range(7):
        product = counter_0 * 0xD256D193
        high = (product >> 32) & 0xFFFFFFFF
        counter_0 = high ^ key ^ counter_1
        counter_1 = product & 0xFFFFFFFF
        key = (key + 0x9E3779B9) & 0xFFFFFFFF
    return counter_0
