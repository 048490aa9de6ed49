# Puts the cluster's keys where kubeadm looks for them. Each variable holds one file.
umask 077
mkdir -p /etc/kubernetes/pki/etcd
put() {
    printf '%s' "$2" >"/etc/kubernetes/pki/$1.new" && chmod "$3" "/etc/kubernetes/pki/$1.new" &&
        mv "/etc/kubernetes/pki/$1.new" "/etc/kubernetes/pki/$1"
}
put ca.crt "$ca_crt" 644 && put ca.key "$ca_key" 600 &&
    put front-proxy-ca.crt "$front_proxy_ca_crt" 644 && put front-proxy-ca.key "$front_proxy_ca_key" 600 &&
    put etcd/ca.crt "$etcd_ca_crt" 644 && put etcd/ca.key "$etcd_ca_key" 600 &&
    put sa.key "$sa_key" 600 && put sa.pub "$sa_pub" 644
