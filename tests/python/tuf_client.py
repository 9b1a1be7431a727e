"""Reads a controller's TUF repository with the reference client (python-tuf).

An honest refresh and download must work. Then every file that it fetched is served with one byte
changed, at several places: each time the client must refuse, and no target may reach the disk.
"""

import argparse
import pathlib
import random
import sys
import tempfile

import urllib3
from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

SEED = 7
PLACES_PER_FILE = 12


class Fetcher(FetcherInterface):
    """Fetches over HTTPS with the controller's CA and nobody else's; can change one byte of one file."""

    def __init__(self, ca):
        self.pool = urllib3.PoolManager(ca_certs=ca, cert_reqs="CERT_REQUIRED", timeout=20, retries=False)
        self.seen = {}
        self.change = None  # (url, place)

    def _fetch(self, url):
        answer = self.pool.request("GET", url)
        if answer.status != 200:
            raise DownloadHTTPError(f"{url}: {answer.status}", answer.status)
        body = bytearray(answer.data)
        self.seen[url] = bytes(body)
        if self.change and self.change[0] == url:
            body[self.change[1]] ^= 1
        yield bytes(body)


def download(arguments, fetcher, root, directory):
    """Refreshes from nothing but `root` and downloads the target; its bytes."""
    metadata, targets = directory / "metadata", directory / "targets"
    metadata.mkdir()
    targets.mkdir()
    base = arguments.url.rstrip("/")
    updater = Updater(str(metadata), f"{base}/", str(targets), f"{base}/targets/", fetcher=fetcher, bootstrap=root)
    updater.refresh()
    info = updater.get_targetinfo(arguments.target)
    if info is None:
        sys.exit(f"the repository does not list {arguments.target}")
    return pathlib.Path(updater.download_target(info)).read_bytes()


def refused(arguments, fetcher, root, what):
    """Whether the client refuses; nothing may be in the target directory then."""
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        try:
            download(arguments, fetcher, root, directory)
        except (RepositoryError, DownloadError, ValueError) as error:
            left = list((directory / "targets").iterdir())
            if left:
                sys.exit(f"{what}: refused ({error}), but {left[0].name} was left")
            return
        sys.exit(f"{what}: accepted")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="https://ADDRESS/tuf")
    parser.add_argument("--ca", required=True)
    parser.add_argument("--root", required=True, type=pathlib.Path, help="the first root")
    parser.add_argument("--target", required=True)
    parser.add_argument("--expect", required=True, type=pathlib.Path, help="the target as its authors have it")
    arguments = parser.parse_args()
    root = arguments.root.read_bytes()

    fetcher = Fetcher(arguments.ca)
    with tempfile.TemporaryDirectory() as name:
        got = download(arguments, fetcher, root, pathlib.Path(name))
    if got != arguments.expect.read_bytes():
        sys.exit(f"{arguments.target} is not what was signed")
    files = dict(fetcher.seen)
    print(f"honest: {len(files)} files fetched, {arguments.target} has {len(got)} bytes")

    chance = random.Random(SEED)
    changed = 0
    for url, body in sorted(files.items()):
        for place in [0, len(body) - 1] + [chance.randrange(len(body)) for _ in range(PLACES_PER_FILE)]:
            fetcher.change = (url, place)
            refused(arguments, fetcher, root, f"seed {SEED}: {url} with byte {place} changed")
            changed += 1
    fetcher.change = None

    # The first root is installed, not fetched: the served one, with a byte changed, is no root either.
    served = bytearray(b"".join(fetcher._fetch(f"{arguments.url.rstrip('/')}/1.root.json")))
    if bytes(served) != root:
        sys.exit("the served 1.root.json is not the one installed")
    for place in [0] + [chance.randrange(len(served)) for _ in range(PLACES_PER_FILE)]:
        wrong = bytearray(served)
        wrong[place] ^= 1
        refused(arguments, fetcher, bytes(wrong), f"seed {SEED}: 1.root.json with byte {place} changed")
        changed += 1
    print(f"changed: {changed} single bytes, all refused")


if __name__ == "__main__":
    main()
