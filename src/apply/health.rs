//! Whether a member of a group works, looked at from outside, before the next one is out.

use std::time::{Duration, Instant};

use dmp_events::{BusyWith, Event};
use dmp_lang::config::Health;
use dmp_plan::instance::conform;
use dmp_plan::world::{Place, instance_address};
use dmp_plan::{Finding, ReadKind, ReadRequest};
use dmp_sdk::{Address, Diagnostic};

use crate::checks::provider_of_data;
use crate::walker::Walker;
use crate::work::{Message, Op};

/// A member that is looked at until it is healthy.
pub(crate) struct Probe {
    address: Address,
    health: Health,
    place: Place,
    within: Duration,
    until: Instant,
    said: Option<String>,
}

impl Walker<'_, '_> {
    /// Begins to look at a member. Without `health` its change is all that is waited for.
    pub(crate) fn begin_probe(&mut self, op: Op, address: &Address) {
        let block = self.world.block_of(address);
        let rollout = block.and_then(|block| block.lifecycle.rollout.as_ref());
        let health = rollout.and_then(|rollout| rollout.health.clone());
        let value = self.world.instance(address).cloned();
        let (Some(health), Some(value)) = (health, value) else {
            self.progress.done(op);
            return;
        };
        let within = match &health.within_seconds {
            None => Ok(WITHIN),
            Some(expr) => {
                let place = Place::in_module(&address.module);
                self.world.evaluate(expr, &place).map(|value| {
                    let seconds = value
                        .as_i64()
                        .and_then(|seconds| u64::try_from(seconds).ok());
                    seconds.map_or(WITHIN, Duration::from_secs)
                })
            }
        };
        let within = match within {
            Ok(within) => within,
            Err(diagnostics) => {
                let wrong = diagnostics.into_iter().next();
                self.fail(op, address, wrong.unwrap_or_else(|| not_known(address)));
                return;
            }
        };
        let probe = Probe {
            address: address.clone(),
            place: self.world.place_of(address).of_object(value),
            health,
            within,
            until: Instant::now() + within,
            said: None,
        };
        self.probes.insert(op, probe);
        self.look(op, Duration::ZERO);
    }

    /// Reads what the member is judged by.
    fn look(&mut self, op: Op, after: Duration) {
        let Some(probe) = self.probes.get(&op) else {
            return;
        };
        let request = match &probe.health.data {
            None => Ok(None),
            Some(data) => self.health_request(probe, data),
        };
        let request = match request {
            Ok(request) => request,
            Err(diagnostic) => {
                let address = probe.address.clone();
                self.probes.remove(&op);
                self.fail(op, &address, diagnostic);
                return;
            }
        };
        self.in_flight += 1;
        let (reader, to) = (self.run.services.quick.clone(), self.to.clone());
        let services = self.run.services.clone();
        let soft = services.stop.soft.clone();
        tokio::spawn(async move {
            let from = services.elapsed();
            tokio::select! {
                () = tokio::time::sleep(after) => {}
                () = soft.cancelled() => {}
            }
            let finding = match request {
                Some(request) => reader.read(vec![request]).await.into_iter().next(),
                None => None,
            };
            services.busy(None, BusyWith::Wait, from);
            let finding = finding.map(|(_, finding)| finding);
            let _ = to.send(Message::Probed { op, finding }).await;
        });
    }

    /// The request that tells of a member; `None` while what it refers to is being made anew.
    fn health_request(
        &self,
        probe: &Probe,
        data: &dmp_lang::config::ResourceBlock,
    ) -> Result<Option<ReadRequest>, Diagnostic> {
        let missing = || not_known(&probe.address);
        let decoded = self
            .world
            .decode_at(data, &probe.place)
            .ok_or_else(missing)?;
        if let Some(wrong) = decoded.diagnostics.into_iter().find(Diagnostic::is_error) {
            return Err(wrong);
        }
        if !decoded.value.is_wholly_known() {
            return Ok(None);
        }
        let source = self.world.registry.data_source(&data.key.resource_type);
        let source = source.cloned().ok_or_else(missing)?;
        let module = &probe.address.module;
        let (provider, provider_address) = provider_of_data(
            &self.run.services,
            self.world,
            self.providers,
            module,
            data,
            &probe.place,
        )?;
        let config = conform(source.schema(), &decoded.value);
        Ok(Some(ReadRequest {
            address: instance_address(module, &data.key, None),
            kind: ReadKind::Data { source, config },
            provider,
            provider_address,
            within: self.world.timeout_at(data, &probe.place).ok().flatten(),
        }))
    }

    /// Judges what was read: the member is healthy, or looked at again, or given up.
    pub(crate) fn heard_probe(&mut self, op: Op, finding: Option<Finding>) {
        let Some(mut probe) = self.probes.remove(&op) else {
            return;
        };
        let Some(why) = self.ails(&probe, finding) else {
            self.progress.done(op);
            return;
        };
        let is_stopped = self.run.services.stop.soft.is_cancelled();
        if Instant::now() >= probe.until || is_stopped {
            let after = match is_stopped {
                true => "when the run was stopped".to_owned(),
                false => format!("after {} s", probe.within.as_secs()),
            };
            let sick = Diagnostic::remote("unhealthy", "a member of a group is not healthy")
                .detail(format!("`{}` {after}", probe.address))
                .cause(why)
                .state("no further member of the group is taken out")
                .help("mend it and apply again");
            self.fail(op, &probe.address, sick);
            return;
        }
        if probe.said.as_ref() != Some(&why) {
            self.run.services.events.emit(Event::Waiting {
                what: probe.address.to_string(),
                why: format!(
                    "not healthy yet (at most {} s): {why}",
                    probe.within.as_secs()
                ),
            });
            probe.said = Some(why);
        }
        self.probes.insert(op, probe);
        self.look(op, PAUSE);
    }

    /// Why a member is not healthy; `None` if it is.
    fn ails(&self, probe: &Probe, finding: Option<Finding>) -> Option<String> {
        let mut place = probe.place.clone();
        if let Some(data) = &probe.health.data {
            match finding {
                Some(Finding::Data(value)) => {
                    let schema = self
                        .world
                        .registry
                        .schema(data.key.mode, &data.key.resource_type)?;
                    place = place.seeing(&data.key, conform(schema, &value));
                }
                Some(Finding::Unreachable(why)) => return Some(why),
                Some(Finding::Failed(diagnostic)) => return Some(diagnostic.to_string()),
                Some(_) => return Some("nothing could be read".into()),
                None => return Some(NOT_YET.into()),
            }
        }
        let asserts = &probe.health.asserts;
        let is_unknown = asserts.iter().any(|assert| {
            let held = self.world.evaluate(&assert.condition, &place);
            held.is_ok_and(|held| !held.is_wholly_known())
        });
        if is_unknown {
            return Some(NOT_YET.into());
        }
        let failed = self
            .world
            .failed_conditions(asserts, &place, "health", "it is not healthy");
        failed.into_iter().next().map(|first| first.detail.clone())
    }
}

fn not_known(address: &Address) -> Diagnostic {
    Diagnostic::error("health", "what tells whether it is healthy is not known")
        .address(address)
        .help("let `health` refer to `self`, to variables and to its own data source")
}

const NOT_YET: &str = "what tells whether it is healthy is not known yet";
const WITHIN: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(1);
