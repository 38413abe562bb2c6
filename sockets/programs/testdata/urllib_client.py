"""Fetches by urllib, in threads, and learns of a closed port."""
import concurrent.futures
import errno
import hashlib
import os
import urllib.error
import urllib.request

base = "http://" + os.environ["AT"]
want = hashlib.sha256(open(os.environ["WWW"] + "/mid", "rb").read()).hexdigest()


def fetch(_):
    with urllib.request.urlopen(base + "/mid", timeout=30) as r:
        return hashlib.sha256(r.read()).hexdigest()


with concurrent.futures.ThreadPoolExecutor(4) as pool:
    assert set(pool.map(fetch, range(4))) == {want}
try:
    urllib.request.urlopen("http://%s:%s/" % (os.environ["HOST"], os.environ["CLOSED"]), timeout=10)
except urllib.error.URLError as e:
    assert e.reason.errno == errno.ECONNREFUSED, e
else:
    raise AssertionError("a closed port answered")
print("all as it must be")
