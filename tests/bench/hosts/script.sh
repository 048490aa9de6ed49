#!/bin/sh
# The work of `cargo xtask bench hosts` by hand: one script over one `ssh` per host. What stands before it: `label`, and the
# manifest of digests in `sums`. Looks first, in three processes; what is not as it should be makes it write everything.
cd /srv/bench || exit 1
modes() {
	stat -c '%a %U %G %n' app app/conf app/log data data/in data/out app/conf/?.conf data/settings
	stat -c '%N' app/current-?
	getent passwd bench1 bench2 | cut -d: -f1,7
}
is_as_wanted() {
	printf '%s\n' "$sums" | sha256sum --status -c 2>/dev/null &&
		[ "$(modes 2>/dev/null)" = "$modes" ] &&
		[ -e data/stamp ]
}
modes='750 root root app
750 root root app/conf
750 root root app/log
750 root root data
750 root root data/in
750 root root data/out
640 root root app/conf/0.conf
640 root root app/conf/1.conf
640 root root app/conf/2.conf
640 root root app/conf/3.conf
640 root root app/conf/4.conf
640 root root app/conf/5.conf
640 root root app/conf/6.conf
640 root root app/conf/7.conf
640 root root app/conf/8.conf
640 root root app/conf/9.conf
644 root root data/settings
'\''app/current-0'\'' -> '\''conf/0.conf'\''
'\''app/current-1'\'' -> '\''conf/1.conf'\''
'\''app/current-2'\'' -> '\''conf/2.conf'\''
'\''app/current-3'\'' -> '\''conf/3.conf'\''
'\''app/current-4'\'' -> '\''conf/4.conf'\''
bench1:/usr/sbin/nologin
bench2:/usr/sbin/nologin'
! is_as_wanted || exit 0
for user in bench1 bench2; do
	getent passwd "$user" >/dev/null || useradd -r -M -s /usr/sbin/nologin "$user" || exit 1
done
for directory in app app/conf app/log data data/in data/out; do
	mkdir -p "$directory" && chown root:root "$directory" && chmod 0750 "$directory" || exit 1
done
number=0
while [ "$number" -lt 10 ]; do
	template "$number" >app/conf/.new || exit 1
	chmod 0640 app/conf/.new && mv -f app/conf/.new "app/conf/$number.conf" || exit 1
	number=$((number + 1))
done
for number in 0 1 2 3 4; do ln -sfn "conf/$number.conf" "app/current-$number" || exit 1; done
[ -e data/settings ] || : >data/settings
for number in 0 1 2 3 4 5; do
	grep -qxF "key$number = $label" data/settings || echo "key$number = $label" >>data/settings || exit 1
done
[ -e data/stamp ] || echo made >data/stamp || exit 1
is_as_wanted
