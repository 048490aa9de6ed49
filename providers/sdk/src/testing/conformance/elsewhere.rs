//! What the engine promises beside the types: proven by tests of the whole program.

/// A promise of the engine, and the test that proves it.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere {
    /// What it is about.
    pub about: &'static str,
    /// What is promised, in a sentence.
    pub promise: &'static str,
    /// The test's file, from the root of the repository.
    pub file: &'static str,
    /// The test's name.
    pub test: &'static str,
}

macro_rules! promises {
    ($($about:literal: $promise:literal, $file:literal::$test:ident;)*) => {
        &[$(Elsewhere {
            about: $about,
            promise: $promise,
            file: $file,
            test: stringify!($test),
        }),*]
    };
}

/// What a resource type may rely on, and no suite over a single type can show.
pub const BY_THE_ENGINE: &[Elsewhere] = promises![
    "hosting": "What lives on something that is gone leaves the state with it, and is made anew.",
        "tests/e2e/tests/hostile.rs"::what_lived_on_a_host_that_is_gone_leaves_the_state_when_the_host_is_made_anew;
    "hosting": "What has moved to another host is kept when its old host is made anew.",
        "tests/e2e/tests/hostile.rs"::what_moved_to_another_host_is_kept_when_its_old_host_is_made_anew;
    "hosting": "A kill inside the replacement of a host loses nothing that lived on it.",
        "tests/e2e/tests/hostile.rs"::killed_in_a_replacement_of_a_host_what_lived_on_it_is_made_anew;
    "providers configured late": "A provider may be configured by what the same run makes.",
        "tests/e2e/tests/apply.rs"::a_provider_may_be_configured_by_what_the_same_run_makes;
    "providers configured late": "What was made through a provider is deleted through the recorded configuration when its block is gone.",
        "tests/e2e/tests/hostile.rs"::without_any_block_left_everything_is_deleted_through_what_is_recorded;
    "envelope": "A saved plan is applied as it was approved, or not at all.",
        "tests/e2e/tests/apply.rs"::a_saved_plan_is_applied_as_it_was_approved_or_not_at_all;
    "envelope": "What is decided later overwrites nothing that nobody has seen.",
        "tests/e2e/tests/hostile.rs"::what_is_decided_later_may_not_overwrite_what_nobody_has_seen;
    "intents": "dmp may be killed at every commit and before every call of an apply: the next one goes on, and nothing is made twice.",
        "tests/e2e/tests/crash.rs"::killed_at_each_place_of_an_apply_the_next_one_goes_on;
    "intents": "The same in a destroy.",
        "tests/e2e/tests/crash.rs"::killed_at_each_place_of_a_destroy_the_next_one_goes_on;
    "intents": "A create whose answer was lost is found by its mark and not repeated.",
        "tests/e2e/tests/apply.rs"::a_create_whose_answer_was_lost_is_found_by_its_mark_and_not_repeated;
    "intents": "What is half-made is finished as the configuration now is.",
        "tests/e2e/tests/hostile.rs"::what_is_half_made_is_finished_as_the_configuration_now_is;
    "batches": "On machines, too, a kill at any place of an apply runs nothing twice.",
        "tests/e2e/tests/hosts.rs"::killed_at_each_place_of_an_apply_the_next_one_goes_on_and_runs_nothing_twice;
    "batches": "Steps that run on when dmp is killed are waited for and not begun again.",
        "tests/e2e/tests/hosts.rs"::what_runs_on_when_dmp_is_killed_is_waited_for_and_not_begun_again;
    "batches": "A lost connection is made again, and the step has run once.",
        "providers/transport/tests/batches.rs"::a_cut_connection_is_attached_to_again_and_the_step_ran_once;
    "batches": "Payloads are for their owner alone, and secrets in no list of processes.",
        "providers/transport/tests/batches.rs"::payloads_are_for_their_owner_alone_and_secrets_in_no_process_list;
    "reading": "A plan without changes costs one login and one exchange for each machine.",
        "tests/e2e/tests/hosts.rs"::a_plan_without_changes_costs_one_login_and_one_exchange;
    "reading": "Who does not answer is not taken for empty: nothing is created and nothing deleted.",
        "tests/e2e/tests/hostile.rs"::a_cloud_that_does_not_answer_deletes_and_creates_nothing;
    "reading": "A machine that is silent, or another one, is not taken for an empty one.",
        "tests/e2e/tests/hosts.rs"::a_machine_that_is_silent_or_another_one_is_not_taken_for_an_empty_one;
    "unique attributes": "Two instances that would be one object are refused.",
        "tests/e2e/tests/hosts.rs"::a_file_that_only_has_another_address_is_not_deleted;
    "wishes to stop": "The first finishes what is under way and begins nothing.",
        "tests/e2e/tests/hostile.rs"::the_first_wish_to_stop_finishes_what_is_under_way_and_begins_nothing;
    "wishes to stop": "The second leaves it, and the next run goes on.",
        "tests/e2e/tests/hostile.rs"::the_second_wish_to_stop_leaves_it_and_the_next_run_goes_on;
    "secrets": "A secret is nowhere in plain text.",
        "tests/e2e/tests/hostile.rs"::a_secret_is_nowhere_in_plain_text;
    "secrets": "An error of the far side that quotes a secret shows it to nobody.",
        "tests/e2e/tests/hostile.rs"::a_remote_error_that_quotes_a_secret_shows_it_to_nobody;
];
