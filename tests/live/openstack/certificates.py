"""An authority of the cloud's own, which nobody else knows, and a certificate for the name `localhost` alone."""

import os
import subprocess

CONFIG = """\
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost
"""


class Certificates:
    def __init__(self, place):
        self.folder = place.kept('front')
        self.authority, self.certificate, self.key = (os.path.join(self.folder, name) for name in ('ca.pem', 'cert.pem', 'key.pem'))

    def make(self):
        if os.path.exists(self.certificate):
            return
        config = os.path.join(self.folder, 'openssl.conf')
        with open(config, 'w') as out:
            out.write(CONFIG)
        key_of_authority = os.path.join(self.folder, 'ca.key')
        self.openssl(config, '-extensions', 'authority', '-subj', '/CN=dmp live authority', '-keyout', key_of_authority,
                     '-out', self.authority)
        self.openssl(config, '-extensions', 'server', '-subj', '/CN=localhost', '-keyout', self.key, '-out', self.certificate,
                     '-CA', self.authority, '-CAkey', key_of_authority)

    @staticmethod
    def openssl(config, *words):
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc',
                        '-days', '30', '-config', config, *words], check=True, stderr=subprocess.DEVNULL)
