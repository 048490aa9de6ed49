# Joins the cluster with the token on standard input. The file with the token lives in memory and only as long as needed.
umask 077
read -r token || exit 1
file=/run/dmp-join.$$.yaml
log=$(mktemp)
trap 'rm -f "$file" "$log"' EXIT
before=${configuration%%TOKEN*}
after=${configuration#*TOKEN}
printf '%s%s%s' "$before" "$token" "$after" >"$file"
if kubeadm join --config "$file" >"$log" 2>&1; then
    mkdir -p /etc/kubernetes
    printf '%s\n' "$ca_hash" >/etc/kubernetes/dmp-joined
    exit 0
fi
tail -n 25 "$log" >&2
exit 1
