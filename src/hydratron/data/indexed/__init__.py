"""Token files in Megatron-LM's `.bin`/`.idx` format (MMIDIDX): read, write, merge and verify."""

from hydratron.data.indexed.format import bin_path, idx_path, token_dtype
from hydratron.data.indexed.merge import merge
from hydratron.data.indexed.reader import IndexedDataset
from hydratron.data.indexed.verify import hashes, outside_vocabulary, verify
from hydratron.data.indexed.writer import IndexedDatasetWriter

__all__ = [
    "IndexedDataset",
    "IndexedDatasetWriter",
    "bin_path",
    "hashes",
    "idx_path",
    "merge",
    "outside_vocabulary",
    "token_dtype",
    "verify",
]
