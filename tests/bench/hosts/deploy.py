"""The work of `cargo xtask bench hosts` for pyinfra: thirty resources on each host."""

from pyinfra import host
from pyinfra.facts.files import File
from pyinfra.operations import files, server

for number in (1, 2):
    server.user(user=f"bench{number}", system=True, ensure_home=False, shell="/usr/sbin/nologin")
for name in ("app", "app/conf", "app/log", "data", "data/in", "data/out"):
    files.directory(path=f"/srv/bench/{name}", mode="750", user="root", group="root")
for number in range(10):
    files.template(
        src="app.conf.j2",
        dest=f"/srv/bench/app/conf/{number}.conf",
        mode="640",
        user="root",
        group="root",
        label=host.data.label,
        number=number,
        port=8000 + number,
    )
for number in range(5):
    files.link(path=f"/srv/bench/app/current-{number}", target=f"conf/{number}.conf")
for number in range(6):
    files.line(path="/srv/bench/data/settings", line=f"key{number} = {host.data.label}")
if host.get_fact(File, path="/srv/bench/data/stamp") is None:
    server.shell(commands=["echo made >/srv/bench/data/stamp"])
