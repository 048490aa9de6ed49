//! What a machine is told of kernel modules: those of the host's kernel, which is its kernel too.
//!
//! A machine loads none. Where the host has a folder of modules the machine sees it; where the kernel has all built in, and no
//! folder, one is made that says so, so that `modprobe` succeeds for what is there and fails for all else.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::GzDecoder;
use nix::mount::MsFlags;

use super::super::root::{bound, folder};

/// Where kernels' modules are.
const MODULES: &str = "/lib/modules";

/// Settings of a kernel, and the module that each would be if it were not built in.
const BUILT_IN: [(&str, &str); 34] = [
    ("OVERLAY_FS", "fs/overlayfs/overlay"),
    ("FUSE_FS", "fs/fuse/fuse"),
    ("XFS_FS", "fs/xfs/xfs"),
    ("EXT4_FS", "fs/ext4/ext4"),
    ("BTRFS_FS", "fs/btrfs/btrfs"),
    ("NFS_FS", "fs/nfs/nfs"),
    ("NFSD", "fs/nfsd/nfsd"),
    ("CEPH_FS", "fs/ceph/ceph"),
    ("BLK_DEV_RBD", "drivers/block/rbd"),
    ("BLK_DEV_LOOP", "drivers/block/loop"),
    ("BLK_DEV_DM", "drivers/md/dm-mod"),
    ("BRIDGE", "net/bridge/bridge"),
    ("BRIDGE_NETFILTER", "net/bridge/br_netfilter"),
    ("VETH", "drivers/net/veth"),
    ("VXLAN", "drivers/net/vxlan/vxlan"),
    ("GENEVE", "drivers/net/geneve"),
    ("TUN", "drivers/net/tun"),
    ("DUMMY", "drivers/net/dummy"),
    ("WIREGUARD", "drivers/net/wireguard/wireguard"),
    ("NET_IPIP", "net/ipv4/ipip"),
    ("IP_VS", "net/netfilter/ipvs/ip_vs"),
    ("IP_VS_RR", "net/netfilter/ipvs/ip_vs_rr"),
    ("IP_SET", "net/netfilter/ipset/ip_set"),
    ("NF_CONNTRACK", "net/netfilter/nf_conntrack"),
    ("NF_NAT", "net/netfilter/nf_nat"),
    ("NF_TABLES", "net/netfilter/nf_tables"),
    ("NFT_NAT", "net/netfilter/nft_chain_nat"),
    ("NFT_MASQ", "net/netfilter/nft_masq"),
    ("NFT_COMPAT", "net/netfilter/nft_compat"),
    ("NETFILTER_XTABLES", "net/netfilter/x_tables"),
    ("NETFILTER_XT_MATCH_CONNTRACK", "net/netfilter/xt_conntrack"),
    (
        "NETFILTER_XT_TARGET_MASQUERADE",
        "net/netfilter/xt_MASQUERADE",
    ),
    ("IP_NF_FILTER", "net/ipv4/netfilter/iptable_filter"),
    ("IP_NF_NAT", "net/ipv4/netfilter/iptable_nat"),
];

fn of_kernel() -> Result<PathBuf, String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_err(|error| format!("the kernel's release: {error}"))?;
    Ok(Path::new(MODULES).join(release.trim()))
}

/// Shows a machine, whose root is a folder here, the host's modules, or says what is built in.
pub(super) fn show(root: &str) -> Result<(), String> {
    let own = of_kernel()?;
    let target = format!("{root}{}", own.display());
    if own.is_dir() {
        folder(&target, 0o755)?;
        bound(&own.display().to_string(), &target, MsFlags::empty())?;
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        return nix::mount::mount(
            None::<&str>,
            target.as_str(),
            None::<&str>,
            flags,
            None::<&str>,
        )
        .map_err(|error| format!("{target} can't be made read-only: {}", error.desc()));
    }
    if Path::new(&target).is_dir() {
        // The image, or an earlier boot, has said it.
        return Ok(());
    }
    let Ok(file) = File::open("/proc/config.gz") else {
        return Ok(());
    };
    let mut settings = String::new();
    GzDecoder::new(file)
        .read_to_string(&mut settings)
        .map_err(|error| format!("/proc/config.gz: {error}"))?;
    folder(&target, 0o755)?;
    for (name, content) in [
        ("modules.builtin", built_in(&settings)),
        ("modules.order", String::new()),
        ("modules.builtin.modinfo", String::new()),
    ] {
        let path = format!("{target}/{name}");
        fs::write(&path, content).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

fn built_in(settings: &str) -> String {
    let lines: std::collections::BTreeSet<&str> = settings.lines().collect();
    let has = |(option, _): &&(&str, &str)| lines.contains(format!("CONFIG_{option}=y").as_str());
    let known = BUILT_IN.iter().filter(has);
    known
        .map(|(_, path)| format!("kernel/{path}.ko\n"))
        .collect()
}

/// Has the machine's own `depmod` make the index of what is built in, from within the machine.
pub(super) fn index() -> Result<(), String> {
    let own = of_kernel()?;
    let is_plain =
        own.join("modules.builtin").exists() && !own.join("modules.builtin.bin").exists();
    let Some(release) = own.file_name().filter(|_| is_plain) else {
        return Ok(());
    };
    // A system without modules' tools has nobody to read it.
    let _ = Command::new("/sbin/depmod")
        .arg(release)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_has_built_in_is_said_and_nothing_else() {
        let text = built_in(
            "CONFIG_VETH=y\nCONFIG_VXLAN=m\n# CONFIG_TUN is not set\nCONFIG_BRIDGE_NETFILTER=y\n",
        );
        assert_eq!(
            text,
            "kernel/net/bridge/br_netfilter.ko\nkernel/drivers/net/veth.ko\n"
        );
    }
}
