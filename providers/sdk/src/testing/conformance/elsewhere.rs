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
        "tests/e2e/tests/hostile/hosted.rs"::what_lived_on_a_host_that_is_gone_leaves_the_state_when_the_host_is_made_anew;
    "hosting": "What has moved to another host is kept when its old host is made anew.",
        "tests/e2e/tests/hostile/hosted.rs"::what_moved_to_another_host_is_kept_when_its_old_host_is_made_anew;
    "hosting": "A kill inside the replacement of a host loses nothing that lived on it.",
        "tests/e2e/tests/hostile/hosted.rs"::killed_in_a_replacement_of_a_host_what_lived_on_it_is_made_anew;
    "providers configured late": "A provider may be configured by what the same run makes.",
        "tests/e2e/tests/apply.rs"::a_provider_may_be_configured_by_what_the_same_run_makes;
    "providers configured late": "What was made through a provider is deleted through the recorded configuration when its block is gone.",
        "tests/e2e/tests/hostile.rs"::without_any_block_left_everything_is_deleted_through_what_is_recorded;
    "envelope": "A saved plan is applied as it was approved, or not at all.",
        "tests/e2e/tests/apply.rs"::a_saved_plan_is_applied_as_it_was_approved_or_not_at_all;
    "envelope": "What is decided later overwrites nothing that nobody has seen.",
        "tests/e2e/tests/hostile/later.rs"::what_is_decided_later_may_not_overwrite_what_nobody_has_seen;
    "intents": "dmp may be killed at every commit and before every call of an apply: the next one goes on, and nothing is made twice.",
        "tests/e2e/tests/crash.rs"::killed_at_each_place_of_an_apply_the_next_one_goes_on;
    "intents": "The same in a destroy.",
        "tests/e2e/tests/crash.rs"::killed_at_each_place_of_a_destroy_the_next_one_goes_on;
    "intents": "A create whose answer was lost is found by its mark and not repeated.",
        "tests/e2e/tests/apply.rs"::a_create_whose_answer_was_lost_is_found_by_its_mark_and_not_repeated;
    "intents": "What is half-made is finished as the configuration now is.",
        "tests/e2e/tests/hostile.rs"::what_is_half_made_is_finished_as_the_configuration_now_is;
    "batches": "On machines, too, a kill at any place of an apply runs nothing twice.",
        "tests/e2e/tests/hosts/killed.rs"::killed_at_each_place_of_an_apply_the_next_one_goes_on_and_runs_nothing_twice;
    "batches": "Steps that run on when dmp is killed are waited for and not begun again.",
        "tests/e2e/tests/hosts/killed.rs"::what_runs_on_when_dmp_is_killed_is_waited_for_and_not_begun_again;
    "batches": "A lost connection is made again, and the step has run once.",
        "providers/transport/tests/batches.rs"::a_cut_connection_is_attached_to_again_and_the_step_ran_once;
    "batches": "Payloads are for their owner alone, and secrets in no list of processes.",
        "providers/transport/tests/batches.rs"::payloads_are_for_their_owner_alone_and_secrets_in_no_process_list;
    "reading": "A plan without changes costs one login and one exchange for each machine.",
        "tests/e2e/tests/hosts.rs"::a_plan_without_changes_costs_one_login_and_one_exchange;
    "reading": "Changes cost one login and two exchanges for each machine, however many there are; what stands where something new is to be made is asked along with what is recorded.",
        "tests/e2e/tests/hosts.rs"::changes_cost_one_login_and_two_exchanges;
    "reading": "Who does not answer is not taken for empty: nothing is created and nothing deleted.",
        "tests/e2e/tests/hostile.rs"::a_cloud_that_does_not_answer_deletes_and_creates_nothing;
    "reading": "A machine that is silent, or another one, is not taken for an empty one.",
        "tests/e2e/tests/hosts.rs"::a_machine_that_is_silent_or_another_one_is_not_taken_for_an_empty_one;
    "unique attributes": "Two instances that would be one object are refused.",
        "tests/e2e/tests/hosts.rs"::a_file_that_only_has_another_address_is_not_deleted;
    "wishes to stop": "The first finishes what is under way and begins nothing.",
        "tests/e2e/tests/hostile/stopped.rs"::the_first_wish_to_stop_finishes_what_is_under_way_and_begins_nothing;
    "wishes to stop": "The second leaves it, and the next run goes on.",
        "tests/e2e/tests/hostile/stopped.rs"::the_second_wish_to_stop_leaves_it_and_the_next_run_goes_on;
    "secrets": "A secret is nowhere in plain text.",
        "tests/e2e/tests/hostile/secrets.rs"::a_secret_is_nowhere_in_plain_text;
    "secrets": "An error of the far side that quotes a secret shows it to nobody.",
        "tests/e2e/tests/hostile/secrets.rs"::a_remote_error_that_quotes_a_secret_shows_it_to_nobody;
    "hosting": "Hosts follow from origins through locals, modules, loops and provider configurations; `hosted_on` overrides them.",
        "tests/e2e/tests/contract.rs"::hosting_follows_origins_through_locals_modules_loops_and_providers;
    "hosting": "What needs a quorum of its hosts, or any, ends when that is no longer there, and not before.",
        "tests/e2e/tests/contract.rs"::a_quorum_and_any_of_several_hosts_are_counted;
    "hosting": "A handle goes after all that is on it.",
        "tests/e2e/tests/contract.rs"::a_handle_goes_after_all_that_is_on_it;
    "leaving": "What is lost with its host leaves where it was a member: dead, by way of the survivors, and told of a successor.",
        "tests/e2e/tests/rebuild.rs"::a_lost_worker_leaves_the_group_and_comes_back_with_all_that_was_on_it;
    "leaving": "A name is free before another member takes it, also where that one is another instance.",
        "tests/e2e/tests/rebuild.rs"::a_name_is_free_before_another_member_takes_it;
    "leaving": "A worker's machine is lost and comes back as a node of a real cluster, at the same address or at another.",
        "tests/live/tests/cluster.rs"::a_lost_worker_comes_back;
    "leaving": "What is taken away leaves while it lives.",
        "tests/e2e/tests/rebuild.rs"::a_worker_that_is_taken_away_leaves_while_it_lives;
    "leaving": "Nobody leaves a group that ends itself.",
        "tests/e2e/tests/rebuild.rs"::nobody_leaves_a_group_that_ends_itself;
    "rebuild": "A rebuild may be killed anywhere: an apply goes on, also with what was called lost.",
        "tests/e2e/tests/rebuild.rs"::what_is_called_lost_is_not_asked_for_and_an_apply_goes_on_after_a_kill;
    "create before destroy": "The new object stands before the old one goes, and so does what it uses.",
        "tests/e2e/tests/replacing.rs"::the_new_ones_are_made_first_and_what_they_use_as_well;
    "create before destroy": "Killed anywhere both objects are known, and one is left in the end.",
        "tests/e2e/tests/replacing.rs"::killed_at_each_place_both_objects_are_known_and_one_is_left_in_the_end;
    "create before destroy": "What others live on is refused.",
        "tests/e2e/tests/replacing.rs"::what_others_live_on_cannot_be_made_first;
    "rollout": "No more members of a group are out than allowed, and the next only when the last is healthy.",
        "tests/e2e/tests/rollout.rs"::members_are_changed_one_after_another_each_when_the_last_is_healthy;
    "rollout": "A member that does not become healthy stops its group and nothing else.",
        "tests/e2e/tests/rollout.rs"::a_member_that_does_not_become_healthy_stops_the_group_and_nothing_else;
    "data": "Primary data is not deleted, but may be left.",
        "tests/e2e/tests/contract.rs"::primary_data_is_not_deleted_but_may_be_left;
    "attributes": "What is no longer set goes back to its default; what is computed stays known.",
        "tests/e2e/tests/contract.rs"::what_is_no_longer_set_goes_back_to_its_default_and_what_is_computed_stays_known;
    "versions": "What an older version recorded is upgraded; what a newer one did is refused.",
        "tests/e2e/tests/contract.rs"::what_an_older_version_recorded_is_upgraded_and_what_a_newer_one_did_is_refused;
    "moving": "A move touches nothing outside, and what depends on the object knows its new address.",
        "tests/e2e/tests/moving.rs"::an_object_moves_to_another_name_key_and_module_without_being_touched;
    "moving": "A move between a create that was cut off and the next run finds the object.",
        "tests/e2e/tests/moving.rs"::a_move_between_a_cut_off_create_and_the_next_run_finds_the_object;
    "importing": "What is there becomes dmp's as it is; where the mark is a field it is written.",
        "tests/e2e/tests/moving.rs"::what_is_there_becomes_dmps_as_it_is;
    "intents": "A copy that inherits the mark is never picked.",
        "tests/e2e/tests/contract.rs"::a_copy_that_inherits_the_mark_is_never_picked;
    "intents": "Thirty instances through all layers, killed at each place, end as if nothing had happened.",
        "tests/e2e/tests/matrix.rs"::thirty_instances_killed_at_each_place_end_as_if_nothing_had_happened;
    "batches": "On a real machine, killed at each place and each step of packages, services, settings and modules, the next run does nothing twice.",
        "tests/live/tests/hosts/killed.rs"::killed_at_each_place_and_step_the_next_run_goes_on_and_does_nothing_twice;
    "batches": "A machine may be rebooted before a batch and at each of its steps: the run goes on or says so, and an apply goes on.",
        "tests/live/tests/hosts/rebooted.rs"::rebooted_before_a_batch_or_at_each_of_its_steps_the_work_comes_to_its_end;
    "batches": "The same after each step and between a batch's end and its record, while dmp is gone.",
        "tests/live/tests/hosts/rebooted.rs"::rebooted_after_each_step_while_dmp_is_gone_the_next_run_goes_on;
    "batches": "A machine is rebooted in the middle of a run, which goes on when it is back; nothing else is begun there meanwhile.",
        "tests/live/tests/hosts/administered.rs"::a_machine_is_rebooted_when_it_has_to_be_and_the_run_goes_on_when_it_is_back;
    "secrets": "A secret is nowhere but where it belongs, in no form.",
        "tests/e2e/tests/secrets.rs"::a_secret_is_nowhere_but_where_it_belongs;
    "secrets": "The same for a Kubernetes Secret, the kubeconfig and the keys of a real cluster, there and on its machines.",
        "tests/live/tests/cluster/secrets.rs"::a_secret_of_a_cluster_is_nowhere_but_where_it_belongs;
    "secrets": "An ephemeral value is in no plan, and asked for again.",
        "tests/e2e/tests/contract.rs"::an_ephemeral_value_is_in_no_plan_and_asked_for_again;
    "marks": "A chosen name carries the mark, and is found by it after a kill anywhere.",
        "tests/e2e/tests/marks.rs"::a_chosen_name_carries_the_mark_and_is_found_by_it_after_a_kill_anywhere;
    "marks": "An id that is chosen is recorded before the call, and found after a kill anywhere.",
        "tests/e2e/tests/marks.rs"::a_number_is_recorded_before_the_call_and_found_after_a_kill_anywhere;
    "marks": "An id that was given out again is another object: the second identity tells.",
        "tests/e2e/tests/marks.rs"::a_number_that_was_given_out_again_is_another_object_and_stays;
    "reading": "More is fetched of what is there, and of nothing else.",
        "tests/e2e/tests/contract.rs"::more_is_fetched_of_what_is_there_and_of_nothing_else;
    "suspects": "A wait that was cut off is waited for again.",
        "tests/e2e/tests/contract.rs"::a_wait_that_was_cut_off_is_waited_for_again;
    "suspects": "What has come about after a kill needs nothing more.",
        "tests/e2e/tests/contract.rs"::what_has_come_about_after_a_kill_needs_nothing_more;
    "effects": "What a change does to others stands in the plan, in its sum, in JSON and in a saved plan.",
        "tests/e2e/tests/contract.rs"::effects_stand_in_the_plan_and_in_its_sum;
    "preflight": "What can't succeed is said before the first change.",
        "tests/e2e/tests/contract.rs"::what_cannot_succeed_is_said_before_the_first_change;
    "providers configured late": "A provider whose source is gone is reached as it is recorded.",
        "tests/e2e/tests/contract.rs"::a_provider_whose_source_is_gone_is_reached_as_recorded;
    "envelope": "What a later stage would do beyond what was approved is asked on the terminal, and a no leaves it.",
        "tests/e2e/tests/terminal.rs"::a_second_stage_is_asked_for_and_a_no_leaves_it;
    "batches": "A step takes what another has said, on another machine too; nobody else hears it.",
        "tests/e2e/tests/handover.rs"::a_step_takes_what_another_has_said_and_nobody_else_hears_it;
    "batches": "Killed between giver and taker, the next run goes on.",
        "tests/e2e/tests/handover.rs"::killed_at_each_place_of_a_handover_the_next_run_goes_on;
];
