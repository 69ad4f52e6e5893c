"""Counter-based random numbers: each number is a function of the place where it is used.

The generator is Philox with two words and seven rounds (Salmon et al., *Parallel random numbers:
as easy as 1, 2, 3*, 2011). With it the masks of dropout depend neither on the device nor on the
number of threads nor on the order of work.
"""


def philox(counter_0, counter_1, key):
    """Compute 32 random bits from two counters and a key.

    Counters and key have 32 bits each, and are held in integers of 64 bits.
    """
    for _ in range(7):
        product = counter_0 * 0xD256D193
        high = (product >> 32) & 0xFFFFFFFF
        counter_0 = high ^ key ^ counter_1
        counter_1 = product & 0xFFFFFFFF
        key = (key + 0x9E3779B9) & 0xFFFFFFFF
    return counter_0
