//! The trials of the provider `proxmox`, against the lab.

use super::trials::{AT_A_KEY, Trial};

/// What is made by calls and waited for.
pub(super) const MADE: &[&str] = &[
    "leaving_twice_succeeds_and_it_counts_no_more",
    "secrets_are_never_shown",
];

/// The same, with a secret.
pub(super) const WITH_A_SECRET: &[&str] = MADE.split_at(1).0;

/// What is found by its key, and waited for.
const NETWORK: &[&str] = &[
    "anothers_object_is_no_candidate",
    "the_id_is_recorded_before_the_first_wait",
    "leaving_twice_succeeds_and_it_counts_no_more",
    "secrets_are_never_shown",
];

/// The same, of what is always there.
const ALWAYS_THERE: &[&str] = &[
    "anothers_object_is_no_candidate",
    "the_id_is_recorded_before_the_first_wait",
    "a_wait_ends_soon_after_a_wish_to_stop",
    "leaving_twice_succeeds_and_it_counts_no_more",
    "what_a_stranger_deleted_is_absent",
    "secrets_are_never_shown",
];

/// A file is there or not, and nothing of it changes.
pub(super) const IMAGE: &[&str] = &[
    "an_update_reaches_the_object",
    "anothers_object_is_no_candidate",
    "the_id_is_recorded_before_the_first_wait",
    "an_update_cut_off_anywhere_is_finished",
    "leaving_twice_succeeds_and_it_counts_no_more",
    "what_a_stranger_altered_is_seen_and_mended",
    "secrets_are_never_shown",
];

const fn trial(
    resource_type: &'static str,
    test: &'static str,
    not_applicable: &'static [&'static str],
) -> Trial {
    Trial::of(
        "tests/e2e/tests/proxmox_contract.rs",
        resource_type,
        test,
        not_applicable,
    )
}

pub(super) const CLUSTER_OF_MACHINES: &[Trial] = &[
    trial("proxmox_vm", "proxmox_vm_keeps_the_contract", MADE),
    trial(
        "proxmox_vm",
        "proxmox_vm_keeps_the_contract_as_a_clone",
        MADE,
    ),
    trial(
        "proxmox_vm",
        "proxmox_vm_keeps_the_contract_with_cloud_init",
        MADE,
    ),
    trial(
        "proxmox_vm",
        "proxmox_vm_keeps_the_contract_with_a_seed_image",
        WITH_A_SECRET,
    ),
    trial("proxmox_pool", "proxmox_pool_keeps_the_contract", AT_A_KEY),
    trial(
        "proxmox_pool",
        "proxmox_pool_keeps_the_contract_where_one_was",
        AT_A_KEY,
    ),
    trial(
        "proxmox_snapshot",
        "proxmox_snapshot_keeps_the_contract",
        MADE,
    ),
    trial("proxmox_image", "proxmox_image_keeps_the_contract", IMAGE),
    trial(
        "proxmox_sdn_zone",
        "proxmox_sdn_zone_keeps_the_contract",
        NETWORK,
    ),
    trial(
        "proxmox_sdn_vnet",
        "proxmox_sdn_vnet_keeps_the_contract",
        NETWORK,
    ),
    trial(
        "proxmox_sdn_vnet",
        "proxmox_sdn_vnet_keeps_the_contract_where_one_was",
        NETWORK,
    ),
    trial(
        "proxmox_sdn_subnet",
        "proxmox_sdn_subnet_keeps_the_contract",
        NETWORK,
    ),
    trial(
        "proxmox_firewall_group",
        "proxmox_firewall_group_keeps_the_contract",
        AT_A_KEY,
    ),
    trial(
        "proxmox_firewall_group",
        "proxmox_firewall_group_keeps_the_contract_where_one_was",
        AT_A_KEY,
    ),
    trial(
        "proxmox_firewall_ipset",
        "proxmox_firewall_ipset_keeps_the_contract",
        AT_A_KEY,
    ),
    trial(
        "proxmox_vm_firewall",
        "proxmox_vm_firewall_keeps_the_contract",
        ALWAYS_THERE,
    ),
    trial(
        "proxmox_cluster_firewall",
        "proxmox_cluster_firewall_keeps_the_contract",
        ALWAYS_THERE,
    ),
];
