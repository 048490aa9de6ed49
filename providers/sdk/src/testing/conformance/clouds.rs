//! The trials of the provider `openstack`, against a real cloud.

use super::machines::{IMAGE, MADE, WITH_A_SECRET};
use super::trials::{AT_A_KEY, Trial};

/// What is there as soon as it is asked for.
const AT_ONCE: &[&str] = &[
    "the_id_is_recorded_before_the_first_wait",
    "a_wait_ends_soon_after_a_wish_to_stop",
    "leaving_twice_succeeds_and_it_counts_no_more",
    "secrets_are_never_shown",
];

/// The same, of which nothing changes in place, and which is there or not.
const THERE_OR_NOT: &[&str] = &[
    "an_update_reaches_the_object",
    "the_id_is_recorded_before_the_first_wait",
    "an_update_cut_off_anywhere_is_finished",
    "a_wait_ends_soon_after_a_wish_to_stop",
    "leaving_twice_succeeds_and_it_counts_no_more",
    "what_a_stranger_altered_is_seen_and_mended",
    "secrets_are_never_shown",
];

/// The same, with a secret in it.
const THERE_OR_NOT_WITH_A_SECRET: &[&str] = &[
    "an_update_reaches_the_object",
    "the_id_is_recorded_before_the_first_wait",
    "an_update_cut_off_anywhere_is_finished",
    "a_wait_ends_soon_after_a_wish_to_stop",
    "leaving_twice_succeeds_and_it_counts_no_more",
    "what_a_stranger_altered_is_seen_and_mended",
];

/// What is found by its key and made at once, and of which nothing changes in place.
const FIXED_AT_A_KEY: &[&str] = &[
    "an_update_reaches_the_object",
    "anothers_object_is_no_candidate",
    "the_id_is_recorded_before_the_first_wait",
    "an_update_cut_off_anywhere_is_finished",
    "a_wait_ends_soon_after_a_wish_to_stop",
    "leaving_twice_succeeds_and_it_counts_no_more",
    "secrets_are_never_shown",
];

/// The same, which is there or not.
const TIED: &[&str] = &[
    "an_update_reaches_the_object",
    "anothers_object_is_no_candidate",
    "the_id_is_recorded_before_the_first_wait",
    "an_update_cut_off_anywhere_is_finished",
    "a_wait_ends_soon_after_a_wish_to_stop",
    "leaving_twice_succeeds_and_it_counts_no_more",
    "what_a_stranger_altered_is_seen_and_mended",
    "secrets_are_never_shown",
];

/// The same, and waited for, as an image is.
const ATTACHED: &[&str] = IMAGE;

const DNS: &str = "tests/live/tests/openstack/dns.rs";
const BALANCERS: &str = "tests/live/tests/openstack/balancers.rs";

const OBJECTS: &str = "tests/live/tests/openstack/objects.rs";

const SHARES: &str = "tests/live/tests/openstack/shares.rs";

const fn trial(
    resource_type: &'static str,
    test: &'static str,
    not_applicable: &'static [&'static str],
) -> Trial {
    Trial::of(
        "tests/live/tests/openstack/contract.rs",
        resource_type,
        test,
        not_applicable,
    )
}

pub(super) const CLOUD: &[Trial] = &[
    trial(
        "openstack_server",
        "openstack_server_keeps_the_contract",
        MADE,
    ),
    trial(
        "openstack_server",
        "openstack_server_keeps_the_contract_with_a_first_boot",
        WITH_A_SECRET,
    ),
    trial(
        "openstack_server",
        "openstack_server_keeps_the_contract_rebuilt_in_place",
        MADE,
    ),
    trial(
        "openstack_server",
        "openstack_server_keeps_the_contract_booted_from_a_volume",
        MADE,
    ),
    trial(
        "openstack_keypair",
        "openstack_keypair_keeps_the_contract",
        FIXED_AT_A_KEY,
    ),
    trial(
        "openstack_keypair",
        "openstack_keypair_keeps_the_contract_where_it_was_before",
        FIXED_AT_A_KEY,
    ),
    trial(
        "openstack_server_group",
        "openstack_server_group_keeps_the_contract",
        THERE_OR_NOT,
    ),
    trial(
        "openstack_network",
        "openstack_network_keeps_the_contract",
        AT_ONCE,
    ),
    trial(
        "openstack_subnet",
        "openstack_subnet_keeps_the_contract",
        AT_ONCE,
    ),
    trial(
        "openstack_port",
        "openstack_port_keeps_the_contract",
        AT_ONCE,
    ),
    trial(
        "openstack_security_group",
        "openstack_security_group_keeps_the_contract",
        AT_ONCE,
    ),
    trial(
        "openstack_security_group_rule",
        "openstack_security_group_rule_keeps_the_contract",
        THERE_OR_NOT,
    ),
    trial(
        "openstack_router",
        "openstack_router_keeps_the_contract",
        AT_ONCE,
    ),
    trial(
        "openstack_router_interface",
        "openstack_router_interface_keeps_the_contract",
        TIED,
    ),
    trial(
        "openstack_floating_ip",
        "openstack_floating_ip_keeps_the_contract",
        AT_ONCE,
    ),
    trial(
        "openstack_floating_ip_association",
        "openstack_floating_ip_association_keeps_the_contract",
        AT_A_KEY,
    ),
    trial(
        "openstack_floating_ip_association",
        "openstack_floating_ip_association_keeps_the_contract_where_it_led_elsewhere",
        TIED,
    ),
    trial(
        "openstack_volume",
        "openstack_volume_keeps_the_contract",
        MADE,
    ),
    trial(
        "openstack_volume_attachment",
        "openstack_volume_attachment_keeps_the_contract",
        ATTACHED,
    ),
    trial(
        "openstack_volume_snapshot",
        "openstack_volume_snapshot_keeps_the_contract",
        MADE,
    ),
    trial(
        "openstack_router_route",
        "openstack_router_route_keeps_the_contract",
        TIED,
    ),
    trial(
        "openstack_image",
        "openstack_image_keeps_the_contract",
        MADE,
    ),
    Trial::of(
        DNS,
        "openstack_zone",
        "openstack_zone_keeps_the_contract",
        MADE,
    ),
    Trial::of(
        DNS,
        "openstack_recordset",
        "openstack_recordset_keeps_the_contract",
        MADE,
    ),
    Trial::of(
        BALANCERS,
        "openstack_loadbalancer",
        "openstack_loadbalancer_keeps_the_contract",
        MADE,
    ),
    Trial::of(
        BALANCERS,
        "openstack_listener",
        "openstack_listener_keeps_the_contract",
        MADE,
    ),
    Trial::of(
        BALANCERS,
        "openstack_pool",
        "openstack_pool_keeps_the_contract",
        MADE,
    ),
    Trial::of(
        BALANCERS,
        "openstack_member",
        "openstack_member_keeps_the_contract",
        MADE,
    ),
    Trial::of(
        BALANCERS,
        "openstack_monitor",
        "openstack_monitor_keeps_the_contract",
        MADE,
    ),
    Trial::of(
        OBJECTS,
        "openstack_container",
        "openstack_container_keeps_the_contract",
        AT_A_KEY,
    ),
    Trial::of(
        OBJECTS,
        "openstack_container",
        "openstack_container_keeps_the_contract_where_it_was_before",
        FIXED_AT_A_KEY,
    ),
    Trial::of(
        OBJECTS,
        "openstack_object",
        "openstack_object_keeps_the_contract",
        AT_A_KEY,
    ),
    Trial::of(
        SHARES,
        "openstack_share",
        "openstack_share_keeps_the_contract",
        MADE,
    ),
    Trial::of(
        SHARES,
        "openstack_share_access",
        "openstack_share_access_keeps_the_contract",
        MADE,
    ),
    Trial::of(
        "tests/live/tests/openstack/credentials.rs",
        "openstack_application_credential",
        "openstack_application_credential_keeps_the_contract",
        THERE_OR_NOT_WITH_A_SECRET,
    ),
];
