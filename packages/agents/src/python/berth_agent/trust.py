"""What the function trusts in TLS, where that isn't what it has."""

import os

# It stays in fresh scratch.
FILE = "/tmp/.berth-certificates.pem"
# By which programs find it: OpenSSL's, and so Python's own, and Go's; Node's; those of requests, curl and git.
_VARIABLES = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO")


def trust(certificates):
    """@param certificates: PEM; empty: nothing but what is trusted anyway."""
    if not certificates:
        return
    with open(FILE, "wb") as file:
        file.write(certificates)
    os.environ.update(dict.fromkeys(_VARIABLES, FILE))
