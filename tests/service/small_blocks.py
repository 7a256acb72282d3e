"""`python -m service.bulk` with blocks of a few documents, so that a small corpus has many."""

import sys

from service.bulk import buckets, record, writing

BLOCK_RECORDS = 16
record.BLOCK_RECORDS = buckets.BLOCK_RECORDS = BLOCK_RECORDS
writing.BLOCKS_OF_A_PART = 3

from service.bulk.__main__ import main  # noqa: E402 - the sizes come first

if __name__ == "__main__":
    sys.exit(main())
