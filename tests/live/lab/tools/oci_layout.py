#!/usr/bin/env python3
"""Makes images of files, as one OCI layout.

usage: oci_layout.py FOLDER <LIST

A line of the list is an image: its name, the folder that is its lowest layer (or `-`), and its files as SOURCE=TARGET.
The first target is what the image starts. The same files always give the same digests, so images share their layers.
"""

import functools
import gzip
import hashlib
import io
import json
import os
import platform
import sys
import tarfile

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


class Layout:
    def __init__(self, folder):
        self.folder = folder
        self.manifests = []
        os.makedirs(os.path.join(folder, "blobs/sha256"))

    def blob(self, data, kind):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(self.folder, "blobs/sha256", digest), "wb") as file:
            file.write(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    def layer(self, fill):
        """One layer and the digest of its content before packing."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as tar:
            fill(tar)
        data = content.getvalue()
        return self.blob(gzip.compress(data, 1, mtime=0), "layer.v1.tar+gzip"), "sha256:" + hashlib.sha256(data).hexdigest()

    @functools.cache
    def base(self, folder):
        def fill(tar):
            for name in sorted(os.listdir(folder)):
                tar.add(os.path.join(folder, name), name, filter=nobody)

        return self.layer(fill)

    def files(self, files):
        def fill(tar):
            for source, target in files:
                entry = nobody(tar.gettarinfo(source, target.lstrip("/")))
                entry.mode = 0o755
                with open(source, "rb") as file:
                    tar.addfile(entry, file)

        return self.layer(fill)

    def image(self, name, base, *words):
        files = [word.split("=") for word in words]
        layers = [] if base == "-" else [self.base(base)]
        layers.append(self.files(files))
        config = {
            "architecture": ARCHITECTURE,
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "Entrypoint": [files[0][1]],
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            },
            "rootfs": {"type": "layers", "diff_ids": [content for _, content in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.blob(json.dumps(config).encode(), "config.v1+json"),
            "layers": [blob for blob, _ in layers],
        }
        entry = self.blob(json.dumps(manifest).encode(), "manifest.v1+json")
        self.manifests.append(entry | {"annotations": {"org.opencontainers.image.ref.name": name}})

    def close(self):
        for name, content in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", {"schemaVersion": 2, "manifests": self.manifests})):
            with open(os.path.join(self.folder, name), "w") as file:
                json.dump(content, file)


def nobody(entry):
    entry.mtime = entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    layout = Layout(sys.argv[1])
    for line in sys.stdin:
        layout.image(*line.split())
    layout.close()


if __name__ == "__main__":
    main()
