"""`hashing.py THREADS FOLDER`: computes the MD5 of every file below a folder: the least that proves them."""

import concurrent.futures
import hashlib
import os
import sys

BLOCK = 1 << 20


def md5(path: str) -> str:
    """The MD5 of a file; the interpreter is free while a block is hashed."""
    digest = hashlib.md5()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def main() -> None:
    threads, path = int(sys.argv[1]), sys.argv[2]
    files = [os.path.join(top, name) for top, _, names in os.walk(path) for name in names]
    files.sort(key=os.path.getsize, reverse=True)
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        print(len(list(pool.map(md5, files))))


main()
