"""`python -m service.bulk` with blocks of a few documents, so that a small corpus has many."""

import sys

from service.bulk import buckets, record, writing
from service.bulk.__main__ import main

BLOCK_RECORDS = 16
SIZES = (
    (record, "BLOCK_RECORDS", BLOCK_RECORDS),
    (buckets, "BLOCK_RECORDS", BLOCK_RECORDS),
    (writing, "BLOCKS_OF_A_PART", 3),
)

if __name__ == "__main__":
    for module, name, value in SIZES:
        setattr(module, name, value)
    sys.exit(main())
