//! Which resource types are tried by the suite, where, and which clauses say nothing about them.

use super::clouds::CLOUD;
use super::machines::CLUSTER_OF_MACHINES;

/// A test that tries a resource type.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// The resource type.
    pub resource_type: &'static str,
    /// The test's file, from the root of the repository.
    pub file: &'static str,
    /// The test's name.
    pub test: &'static str,
    /// Clauses that do not apply.
    pub not_applicable: &'static [&'static str],
}

impl Trial {
    /// A trial of a test in a file.
    pub(super) const fn of(
        file: &'static str,
        resource_type: &'static str,
        test: &'static str,
        not_applicable: &'static [&'static str],
    ) -> Self {
        Self {
            resource_type,
            file,
            test,
            not_applicable,
        }
    }
}

/// What is found by its key and made at once.
pub(super) const AT_A_KEY: &[&str] = &[
    "anothers_object_is_no_candidate",
    "the_id_is_recorded_before_the_first_wait",
    "a_wait_ends_soon_after_a_wish_to_stop",
    "leaving_twice_succeeds_and_it_counts_no_more",
    "secrets_are_never_shown",
];

/// What is done by steps needs no wish to stop: the engine begins a step or does not.
const ON_A_MACHINE: &[&str] = &[
    "anothers_object_is_no_candidate",
    "the_id_is_recorded_before_the_first_wait",
    "nothing_is_written_after_a_wish_to_stop",
    "a_wait_ends_soon_after_a_wish_to_stop",
    "leaving_twice_succeeds_and_it_counts_no_more",
    "secrets_are_never_shown",
];

/// The same, with a secret.
const WITH_A_SECRET: &[&str] = ON_A_MACHINE.split_at(ON_A_MACHINE.len() - 1).0;

/// The same, of what is always there.
const ALWAYS_THERE: &[&str] = &[
    "anothers_object_is_no_candidate",
    "the_id_is_recorded_before_the_first_wait",
    "nothing_is_written_after_a_wish_to_stop",
    "a_wait_ends_soon_after_a_wish_to_stop",
    "leaving_twice_succeeds_and_it_counts_no_more",
    "what_a_stranger_deleted_is_absent",
    "secrets_are_never_shown",
];

/// The same, of what is there or not, and nothing between.
const THERE_OR_NOT: &[&str] = &[
    "anothers_object_is_no_candidate",
    "the_id_is_recorded_before_the_first_wait",
    "nothing_is_written_after_a_wish_to_stop",
    "a_wait_ends_soon_after_a_wish_to_stop",
    "leaving_twice_succeeds_and_it_counts_no_more",
    "what_a_stranger_altered_is_seen_and_mended",
    "secrets_are_never_shown",
];

/// What is nothing but its record has nothing outside: no work that could be cut off, and no strangers.
const BUT_ITS_RECORD: &[&str] = &[
    "an_update_reaches_the_object",
    "nothing_or_the_earlier_is_found_after_a_delete",
    "anothers_object_is_no_candidate",
    "the_id_is_recorded_before_the_first_wait",
    "a_create_cut_off_anywhere_is_finished",
    "an_update_cut_off_anywhere_is_finished",
    "a_delete_cut_off_anywhere_is_finished",
    "nothing_is_written_after_a_wish_to_stop",
    "a_wait_ends_soon_after_a_wish_to_stop",
    "leaving_twice_succeeds_and_it_counts_no_more",
    "what_a_stranger_deleted_is_absent",
    "what_a_stranger_altered_is_seen_and_mended",
    "secrets_are_never_shown",
];

/// The same, where secrets are made.
const BUT_ITS_SECRET_RECORD: &[&str] = BUT_ITS_RECORD.split_at(BUT_ITS_RECORD.len() - 1).0;

/// The same, where something can be changed in the record itself.
const BUT_ITS_CHANGING_RECORD: &[&str] = BUT_ITS_SECRET_RECORD.split_at(1).1;

/// All trials.
pub const TRIALS: &[Trial] = &joined::<{ HERE.len() + CLOUD.len() }>(HERE, CLOUD);

/// Those that need no cloud.
const HERE: &[Trial] =
    &joined::<{ OWN.len() + CLUSTER_OF_MACHINES.len() }>(OWN, CLUSTER_OF_MACHINES);

const fn joined<const N: usize>(one: &[Trial], two: &[Trial]) -> [Trial; N] {
    let mut all = [one[0]; N];
    let mut index = 0;
    while index < N {
        all[index] = if index < one.len() {
            one[index]
        } else {
            two[index - one.len()]
        };
        index += 1;
    }
    all
}

const OWN: &[Trial] = &[
    Trial {
        resource_type: "test_thing",
        file: SDK,
        test: "test_thing_keeps_the_contract",
        not_applicable: &["leaving_twice_succeeds_and_it_counts_no_more"],
    },
    Trial {
        resource_type: "test_entry",
        file: SDK,
        test: "test_entry_keeps_the_contract_at_an_empty_key",
        not_applicable: AT_A_KEY,
    },
    Trial {
        resource_type: "test_entry",
        file: SDK,
        test: "test_entry_keeps_the_contract_where_something_stood_before",
        not_applicable: AT_A_KEY,
    },
    Trial {
        resource_type: "test_bucket",
        file: SDK,
        test: "test_bucket_keeps_the_contract",
        not_applicable: &[
            "anothers_object_is_no_candidate",
            "leaving_twice_succeeds_and_it_counts_no_more",
            "secrets_are_never_shown",
        ],
    },
    Trial {
        resource_type: "test_slot",
        file: SDK,
        test: "test_slot_keeps_the_contract",
        not_applicable: &[
            "the_id_is_recorded_before_the_first_wait",
            "a_wait_ends_soon_after_a_wish_to_stop",
            "leaving_twice_succeeds_and_it_counts_no_more",
            "secrets_are_never_shown",
        ],
    },
    Trial {
        resource_type: "member",
        file: SDK,
        test: "a_type_of_steps_keeps_the_contract",
        not_applicable: &[
            "anothers_object_is_no_candidate",
            "the_id_is_recorded_before_the_first_wait",
            "nothing_is_written_after_a_wish_to_stop",
            "a_wait_ends_soon_after_a_wish_to_stop",
        ],
    },
    Trial {
        resource_type: "host",
        file: HOST,
        test: "host_keeps_the_contract",
        // A machine is there before dmp and after it: nothing is done to it, and nobody makes it another one.
        not_applicable: &[
            "anothers_object_is_no_candidate",
            "the_id_is_recorded_before_the_first_wait",
            "a_create_cut_off_anywhere_is_finished",
            "an_update_cut_off_anywhere_is_finished",
            "a_delete_cut_off_anywhere_is_finished",
            "nothing_is_written_after_a_wish_to_stop",
            "a_wait_ends_soon_after_a_wish_to_stop",
            "leaving_twice_succeeds_and_it_counts_no_more",
            "what_a_stranger_deleted_is_absent",
            "what_a_stranger_altered_is_seen_and_mended",
            "secrets_are_never_shown",
        ],
    },
    Trial {
        resource_type: "host",
        file: HOST,
        test: "host_keeps_the_contract_with_a_secret",
        not_applicable: &[
            "anothers_object_is_no_candidate",
            "the_id_is_recorded_before_the_first_wait",
            "a_create_cut_off_anywhere_is_finished",
            "an_update_cut_off_anywhere_is_finished",
            "a_delete_cut_off_anywhere_is_finished",
            "nothing_is_written_after_a_wish_to_stop",
            "a_wait_ends_soon_after_a_wish_to_stop",
            "leaving_twice_succeeds_and_it_counts_no_more",
            "what_a_stranger_deleted_is_absent",
            "what_a_stranger_altered_is_seen_and_mended",
        ],
    },
    Trial {
        resource_type: "host_file",
        file: HOST,
        test: "host_file_keeps_the_contract",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_file",
        file: HOST,
        test: "host_file_keeps_the_contract_where_something_stood_before",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_file",
        file: HOST,
        test: "host_file_keeps_the_contract_with_a_secret",
        not_applicable: WITH_A_SECRET,
    },
    Trial {
        resource_type: "host_directory",
        file: HOST,
        test: "host_directory_keeps_the_contract",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_symlink",
        file: HOST,
        test: "host_symlink_keeps_the_contract",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_symlink",
        file: HOST,
        test: "host_symlink_keeps_the_contract_where_a_link_stood_before",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_line",
        file: HOST,
        test: "host_line_keeps_the_contract",
        not_applicable: THERE_OR_NOT,
    },
    Trial {
        resource_type: "host_line",
        file: HOST,
        test: "host_line_keeps_the_contract_where_another_line_stood_before",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_block",
        file: HOST,
        test: "host_block_keeps_the_contract",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_block",
        file: HOST,
        test: "host_block_keeps_the_contract_where_a_block_stood_before",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_authorized_keys",
        file: HOST,
        test: "host_authorized_keys_keeps_the_contract",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_authorized_keys",
        file: HOST,
        test: "host_authorized_keys_keeps_the_contract_where_the_whole_file_becomes_ours",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_archive",
        file: HOST,
        test: "host_archive_keeps_the_contract",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_command",
        file: HOST,
        test: "host_command_keeps_the_contract",
        not_applicable: THERE_OR_NOT,
    },
    Trial {
        resource_type: "core_random_id",
        file: CORE,
        test: "core_random_id_keeps_the_contract",
        not_applicable: BUT_ITS_RECORD,
    },
    Trial {
        resource_type: "core_random_uuid",
        file: CORE,
        test: "core_random_uuid_keeps_the_contract",
        not_applicable: BUT_ITS_RECORD,
    },
    Trial {
        resource_type: "core_random_integer",
        file: CORE,
        test: "core_random_integer_keeps_the_contract",
        not_applicable: BUT_ITS_RECORD,
    },
    Trial {
        resource_type: "core_random_string",
        file: CORE,
        test: "core_random_string_keeps_the_contract",
        not_applicable: BUT_ITS_RECORD,
    },
    Trial {
        resource_type: "core_random_password",
        file: CORE,
        test: "core_random_password_keeps_the_contract",
        not_applicable: BUT_ITS_SECRET_RECORD,
    },
    Trial {
        resource_type: "core_random_pet",
        file: CORE,
        test: "core_random_pet_keeps_the_contract",
        not_applicable: BUT_ITS_RECORD,
    },
    Trial {
        resource_type: "core_random_shuffle",
        file: CORE,
        test: "core_random_shuffle_keeps_the_contract",
        not_applicable: BUT_ITS_RECORD,
    },
    Trial {
        resource_type: "core_secret",
        file: CORE,
        test: "core_secret_keeps_the_contract",
        not_applicable: BUT_ITS_SECRET_RECORD,
    },
    Trial {
        resource_type: "core_ssh_key",
        file: CORE,
        test: "core_ssh_key_keeps_the_contract",
        not_applicable: BUT_ITS_SECRET_RECORD,
    },
    Trial {
        resource_type: "core_private_key",
        file: CORE,
        test: "core_private_key_keeps_the_contract",
        not_applicable: BUT_ITS_SECRET_RECORD,
    },
    Trial {
        resource_type: "core_cert_request",
        file: CORE,
        test: "core_cert_request_keeps_the_contract",
        not_applicable: BUT_ITS_SECRET_RECORD,
    },
    Trial {
        resource_type: "core_self_signed_cert",
        file: CORE,
        test: "core_self_signed_cert_keeps_the_contract",
        not_applicable: BUT_ITS_CHANGING_RECORD,
    },
    Trial {
        resource_type: "core_signed_cert",
        file: CORE,
        test: "core_signed_cert_keeps_the_contract",
        not_applicable: BUT_ITS_CHANGING_RECORD,
    },
    Trial {
        resource_type: "core_local_file",
        file: CORE,
        test: "core_local_file_keeps_the_contract",
        not_applicable: AT_A_KEY,
    },
    Trial {
        resource_type: "core_local_file",
        file: CORE,
        test: "core_local_file_keeps_the_contract_where_something_stood_before",
        not_applicable: AT_A_KEY,
    },
    Trial {
        resource_type: "core_local_file",
        file: CORE,
        test: "core_local_file_keeps_the_contract_with_a_secret",
        not_applicable: AT_A_KEY.split_at(AT_A_KEY.len() - 1).0,
    },
    Trial {
        resource_type: "core_local_directory",
        file: CORE,
        test: "core_local_directory_keeps_the_contract",
        not_applicable: AT_A_KEY,
    },
    Trial {
        resource_type: "core_local_command",
        file: CORE,
        test: "core_local_command_keeps_the_contract",
        not_applicable: &[
            "anothers_object_is_no_candidate",
            "the_id_is_recorded_before_the_first_wait",
            "leaving_twice_succeeds_and_it_counts_no_more",
            "what_a_stranger_altered_is_seen_and_mended",
            "secrets_are_never_shown",
        ],
    },
    Trial {
        resource_type: "core_time_static",
        file: CORE,
        test: "core_time_static_keeps_the_contract",
        not_applicable: BUT_ITS_RECORD,
    },
    Trial {
        resource_type: "core_time_offset",
        file: CORE,
        test: "core_time_offset_keeps_the_contract",
        not_applicable: BUT_ITS_RECORD.split_at(1).1,
    },
    Trial {
        resource_type: "core_time_rotating",
        file: CORE,
        test: "core_time_rotating_keeps_the_contract",
        not_applicable: BUT_ITS_RECORD.split_at(1).1,
    },
    Trial {
        resource_type: "core_sleep",
        file: CORE,
        test: "core_sleep_keeps_the_contract",
        not_applicable: &[
            "an_update_reaches_the_object",
            "nothing_or_the_earlier_is_found_after_a_delete",
            "anothers_object_is_no_candidate",
            "an_update_cut_off_anywhere_is_finished",
            "nothing_is_written_after_a_wish_to_stop",
            "leaving_twice_succeeds_and_it_counts_no_more",
            "what_a_stranger_deleted_is_absent",
            "what_a_stranger_altered_is_seen_and_mended",
            "secrets_are_never_shown",
        ],
    },
    Trial {
        resource_type: "host_package",
        file: LIVE,
        test: "host_package_keeps_the_contract",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_package",
        file: LIVE,
        test: "host_package_keeps_the_contract_where_one_of_them_was_there",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_repository",
        file: LIVE,
        test: "host_repository_keeps_the_contract",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_service",
        file: LIVE,
        test: "host_service_keeps_the_contract",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_service",
        file: LIVE,
        test: "host_service_keeps_the_contract_where_something_stood_before",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_kernel_module",
        file: LIVE,
        test: "host_kernel_module_keeps_the_contract",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_sysctl",
        file: LIVE,
        test: "host_sysctl_keeps_the_contract",
        not_applicable: ALWAYS_THERE,
    },
    Trial {
        resource_type: "host_firewall",
        file: LIVE,
        test: "host_firewall_keeps_the_contract",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_updates",
        file: LIVE,
        test: "host_updates_keeps_the_contract",
        not_applicable: ALWAYS_THERE,
    },
    Trial {
        resource_type: "host_group",
        file: LIVE,
        test: "host_group_keeps_the_contract",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_group",
        file: LIVE,
        test: "host_group_keeps_the_contract_where_it_was_there",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_user",
        file: LIVE,
        test: "host_user_keeps_the_contract",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_user",
        file: LIVE,
        test: "host_user_keeps_the_contract_where_it_was_there",
        not_applicable: WITH_A_SECRET,
    },
    Trial {
        resource_type: "host_hostname",
        file: LIVE,
        test: "host_hostname_keeps_the_contract",
        not_applicable: ALWAYS_THERE,
    },
    Trial {
        resource_type: "host_mount",
        file: LIVE,
        test: "host_mount_keeps_the_contract",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_mount",
        file: LIVE,
        test: "host_mount_keeps_the_contract_where_something_was_mounted",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_reboot",
        file: LIVE,
        test: "host_reboot_keeps_the_contract",
        not_applicable: ON_A_MACHINE,
    },
    Trial {
        resource_type: "host_compose_project",
        file: LIVE,
        test: "host_compose_project_keeps_the_contract",
        not_applicable: WITH_A_SECRET,
    },
    Trial {
        resource_type: "k8s_manifest",
        file: CLUSTER,
        test: "k8s_manifest_keeps_the_contract",
        not_applicable: &[
            "anothers_object_is_no_candidate",
            "the_id_is_recorded_before_the_first_wait",
            "leaving_twice_succeeds_and_it_counts_no_more",
            "secrets_are_never_shown",
        ],
    },
];

const CORE: &str = "providers/core/tests/conformance.rs";
const SDK: &str = "providers/sdk/tests/conformance/main.rs";
const HOST: &str = "providers/host/tests/conformance.rs";
const LIVE: &str = "tests/live/tests/hosts/contract.rs";
const CLUSTER: &str = "tests/live/tests/cluster/contract.rs";
