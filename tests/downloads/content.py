"""What the tests of downloads fetch."""

import hashlib

BODY = bytes(range(256)) * 4096 + b"the end"
HASH = hashlib.sha256(BODY).hexdigest()
LIMIT = 2 * len(BODY)
