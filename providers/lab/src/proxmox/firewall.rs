//! The firewall at the level of the cluster, of groups and of guests. Rules are kept and told; nothing is filtered.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Answer, Call, Failure, Handler, Outcome};
use crate::world::firewall::{self, Firewall, Group, Set};

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("GET /cluster/firewall/options", options),
    ("PUT /cluster/firewall/options", change_options),
    ("GET /cluster/firewall/rules", rules),
    ("POST /cluster/firewall/rules", add_rule),
    ("GET /cluster/firewall/rules/{pos}", rule),
    ("PUT /cluster/firewall/rules/{pos}", change_rule),
    ("DELETE /cluster/firewall/rules/{pos}", drop_rule),
    ("GET /cluster/firewall/groups", groups),
    ("POST /cluster/firewall/groups", add_group),
    ("GET /cluster/firewall/groups/{group}", rules),
    ("POST /cluster/firewall/groups/{group}", add_rule),
    ("DELETE /cluster/firewall/groups/{group}", drop_group),
    ("GET /cluster/firewall/groups/{group}/{pos}", rule),
    ("PUT /cluster/firewall/groups/{group}/{pos}", change_rule),
    ("DELETE /cluster/firewall/groups/{group}/{pos}", drop_rule),
    ("GET /cluster/firewall/ipset", sets),
    ("POST /cluster/firewall/ipset", add_set),
    ("GET /cluster/firewall/ipset/{name}", members),
    ("POST /cluster/firewall/ipset/{name}", add_member),
    ("DELETE /cluster/firewall/ipset/{name}", drop_set),
    ("GET /cluster/firewall/ipset/{name}/{cidr}", member),
    ("PUT /cluster/firewall/ipset/{name}/{cidr}", change_member),
    ("DELETE /cluster/firewall/ipset/{name}/{cidr}", drop_member),
    ("GET /cluster/firewall/aliases", aliases),
    ("POST /cluster/firewall/aliases", add_alias),
    ("GET /cluster/firewall/aliases/{name}", alias),
    ("PUT /cluster/firewall/aliases/{name}", change_alias),
    ("DELETE /cluster/firewall/aliases/{name}", drop_alias),
    ("GET /nodes/{node}/qemu/{vmid}/firewall/options", options),
    (
        "PUT /nodes/{node}/qemu/{vmid}/firewall/options",
        change_options,
    ),
    ("GET /nodes/{node}/qemu/{vmid}/firewall/rules", rules),
    ("POST /nodes/{node}/qemu/{vmid}/firewall/rules", add_rule),
    ("GET /nodes/{node}/qemu/{vmid}/firewall/rules/{pos}", rule),
    (
        "PUT /nodes/{node}/qemu/{vmid}/firewall/rules/{pos}",
        change_rule,
    ),
    (
        "DELETE /nodes/{node}/qemu/{vmid}/firewall/rules/{pos}",
        drop_rule,
    ),
    ("GET /nodes/{node}/qemu/{vmid}/firewall/ipset", sets),
    ("POST /nodes/{node}/qemu/{vmid}/firewall/ipset", add_set),
    (
        "GET /nodes/{node}/qemu/{vmid}/firewall/ipset/{name}",
        members,
    ),
    (
        "POST /nodes/{node}/qemu/{vmid}/firewall/ipset/{name}",
        add_member,
    ),
    (
        "DELETE /nodes/{node}/qemu/{vmid}/firewall/ipset/{name}",
        drop_set,
    ),
    (
        "GET /nodes/{node}/qemu/{vmid}/firewall/ipset/{name}/{cidr}",
        member,
    ),
    (
        "PUT /nodes/{node}/qemu/{vmid}/firewall/ipset/{name}/{cidr}",
        change_member,
    ),
    (
        "DELETE /nodes/{node}/qemu/{vmid}/firewall/ipset/{name}/{cidr}",
        drop_member,
    ),
    ("GET /nodes/{node}/qemu/{vmid}/firewall/aliases", aliases),
    ("POST /nodes/{node}/qemu/{vmid}/firewall/aliases", add_alias),
    (
        "GET /nodes/{node}/qemu/{vmid}/firewall/aliases/{name}",
        alias,
    ),
    (
        "PUT /nodes/{node}/qemu/{vmid}/firewall/aliases/{name}",
        change_alias,
    ),
    (
        "DELETE /nodes/{node}/qemu/{vmid}/firewall/aliases/{name}",
        drop_alias,
    ),
];

/// Parameters that are no part of a rule, a member or an alias.
const OPTIONS: [&str; 9] = [
    "node", "vmid", "pos", "digest", "delete", "moveto", "group", "name", "rename",
];

fn settings(call: &Call<'_>) -> BTreeMap<String, String> {
    let own = call
        .parameters
        .0
        .keys()
        .filter(|key| !OPTIONS.contains(&key.as_str()));
    own.map(|key| (key.clone(), call.parameters.needed(key).to_owned()))
        .collect()
}

fn told(settings: &BTreeMap<String, String>) -> Map<String, Value> {
    let typed = |key: &str, text: &str| match text.parse::<i64>() {
        Ok(number)
            if matches!(
                key,
                "enable"
                    | "ebtables"
                    | "dhcp"
                    | "ipfilter"
                    | "macfilter"
                    | "ndp"
                    | "radv"
                    | "nomatch"
            ) =>
        {
            json!(number)
        }
        _ => json!(text),
    };
    settings
        .iter()
        .map(|(key, text)| (key.clone(), typed(key, text)))
        .collect()
}

/// Returns the firewall that the path is about.
fn of(call: &Call<'_>) -> Result<Firewall, Failure> {
    if call.parameters.text("vmid").is_none() {
        return Ok(call.world.cluster.firewall.clone());
    }
    call.guest()?;
    Ok(call
        .world
        .cluster
        .guest_firewalls
        .get(&call.vmid())
        .cloned()
        .unwrap_or_default())
}

fn of_mut<'a>(call: &'a mut Call<'_>) -> Result<&'a mut Firewall, Failure> {
    call.needs_quorum(|| "cfs-lock 'domain-firewall' error: no quorum!".into())?;
    if call.parameters.text("vmid").is_none() {
        return Ok(&mut call.world.cluster.firewall);
    }
    call.guest()?;
    let vmid = call.vmid();
    Ok(call.world.cluster.guest_firewalls.entry(vmid).or_default())
}

fn options(call: &mut Call<'_>) -> Outcome {
    let options = of(call)?.options;
    let mut told = told(&options);
    told.insert("digest".into(), json!(firewall::digest(&options)));
    Answer::data(told)
}

fn change_options(call: &mut Call<'_>) -> Outcome {
    call.same_digest(&firewall::digest(&of(call)?.options), super::CHANGED)?;
    let (new, drops) = (settings(call), call.parameters.list("delete"));
    let options = &mut of_mut(call)?.options;
    options.extend(new);
    options.retain(|key, _| !drops.contains(key));
    Answer::done()
}

type Rules = Vec<BTreeMap<String, String>>;

/// Returns the rules that the path is about: those of a group, or of the level.
fn rules_of(call: &Call<'_>) -> Result<Rules, Failure> {
    match call.parameters.text("group") {
        Some(name) => match call.world.cluster.groups.get(name) {
            Some(group) => Ok(group.rules.clone()),
            None => Err(format!("no such security group '{name}'").into()),
        },
        None => Ok(of(call)?.rules),
    }
}

fn rules_mut<'a>(call: &'a mut Call<'_>) -> Result<&'a mut Rules, Failure> {
    let Some(name) = call.parameters.text("group").map(str::to_owned) else {
        return Ok(&mut of_mut(call)?.rules);
    };
    match call.world.cluster.groups.get_mut(&name) {
        Some(group) => Ok(&mut group.rules),
        None => Err(format!("no such security group '{name}'").into()),
    }
}

fn rules(call: &mut Call<'_>) -> Outcome {
    let rules = rules_of(call)?;
    let digest = firewall::digest(&rules);
    let told = rules.iter().enumerate().map(|(position, rule)| {
        let mut told = told(rule);
        told.insert("pos".into(), json!(position));
        told.insert("digest".into(), json!(digest));
        Value::Object(told)
    });
    Answer::data(told.collect::<Vec<_>>())
}

/// Returns the position in the path.
fn position(call: &Call<'_>, rules: &Rules) -> Result<usize, Failure> {
    let position: usize = call.parameters.number("pos").unwrap_or(usize::MAX);
    if position < rules.len() {
        Ok(position)
    } else {
        Err(Failure::parameter(
            "pos",
            format!("no rule at position {}", call.parameters.needed("pos")),
        ))
    }
}

fn rule(call: &mut Call<'_>) -> Outcome {
    let rules = rules_of(call)?;
    let position = position(call, &rules)?;
    let mut told = told(&rules[position]);
    told.insert("pos".into(), json!(position));
    told.insert("digest".into(), json!(firewall::digest(&rules)));
    Answer::data(told)
}

/// Refuses a rule that nothing can be made of.
fn check_rule(call: &Call<'_>, rule: &BTreeMap<String, String>) -> Result<(), Failure> {
    let text = |key: &str| rule.get(key).map_or("", String::as_str);
    if text("type") == "group" && !call.world.cluster.groups.contains_key(text("action")) {
        return Err(Failure::parameter(
            "action",
            format!("security group '{}' does not exist", text("action")),
        ));
    }
    if text("type") != "group" && !matches!(text("action"), "ACCEPT" | "DROP" | "REJECT") {
        return Err(Failure::parameter(
            "action",
            format!("unknown action '{}'", text("action")),
        ));
    }
    let has_port = rule.contains_key("dport") || rule.contains_key("sport");
    if has_port && !rule.contains_key("proto") && !rule.contains_key("macro") {
        return Err(Failure::parameter(
            "proto",
            "missing property - 'dport' requires this property",
        ));
    }
    Ok(())
}

fn add_rule(call: &mut Call<'_>) -> Outcome {
    call.same_digest(&firewall::digest(&rules_of(call)?), super::CHANGED)?;
    let mut rule = settings(call);
    // A rule is off unless it is switched on, and comes first unless it is put elsewhere.
    rule.entry("enable".into()).or_insert_with(|| "0".into());
    check_rule(call, &rule)?;
    let at: usize = call.parameters.number("pos").unwrap_or(0);
    let rules = rules_mut(call)?;
    rules.insert(at.min(rules.len()), rule);
    Answer::done()
}

fn change_rule(call: &mut Call<'_>) -> Outcome {
    let rules = rules_of(call)?;
    call.same_digest(&firewall::digest(&rules), super::CHANGED)?;
    let at = position(call, &rules)?;
    if let Some(to) = call.parameters.number::<usize>("moveto") {
        let rules = rules_mut(call)?;
        let rule = rules.remove(at);
        let to = if to > at { to - 1 } else { to };
        rules.insert(to.min(rules.len()), rule);
        return Answer::done();
    }
    let mut rule = rules[at].clone();
    rule.extend(settings(call));
    let drops = call.parameters.list("delete");
    rule.retain(|key, _| !drops.contains(key));
    check_rule(call, &rule)?;
    rules_mut(call)?[at] = rule;
    Answer::done()
}

fn drop_rule(call: &mut Call<'_>) -> Outcome {
    let rules = rules_of(call)?;
    call.same_digest(&firewall::digest(&rules), super::CHANGED)?;
    let at = position(call, &rules)?;
    rules_mut(call)?.remove(at);
    Answer::done()
}

fn groups(call: &mut Call<'_>) -> Outcome {
    let digest = firewall::digest(&call.world.cluster.groups);
    let told = call.world.cluster.groups.iter().map(|(name, group)| {
        let mut told = json!({ "group": name, "digest": digest });
        if let Some(comment) = &group.comment {
            told["comment"] = json!(comment);
        }
        told
    });
    Answer::data(told.collect::<Vec<_>>())
}

fn add_group(call: &mut Call<'_>) -> Outcome {
    call.needs_quorum(|| "cfs-lock 'domain-firewall' error: no quorum!".into())?;
    let name = call.parameters.needed("group").to_owned();
    let comment = call.parameters.text("comment").map(str::to_owned);
    let old = call.parameters.text("rename").map(str::to_owned);
    let groups = &mut call.world.cluster.groups;
    if let Some(old) = old {
        let mut group = groups
            .remove(&old)
            .ok_or(format!("Security group '{old}' does not exist"))?;
        if comment.is_some() {
            group.comment = comment;
        }
        groups.insert(name, group);
        return Answer::done();
    }
    if groups.contains_key(&name) {
        return Err(format!("Security group '{name}' already exists").into());
    }
    groups.insert(
        name,
        Group {
            comment,
            rules: Vec::new(),
        },
    );
    Answer::done()
}

fn drop_group(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.needed("group").to_owned();
    if !rules_of(call)?.is_empty() {
        return Err(format!("Security group '{name}' is not empty").into());
    }
    call.world.cluster.groups.remove(&name);
    Answer::done()
}

fn sets(call: &mut Call<'_>) -> Outcome {
    let sets = of(call)?.sets;
    let digest = firewall::digest(&sets);
    let told = sets.iter().map(|(name, set)| {
        let mut told = json!({ "name": name, "digest": digest });
        if let Some(comment) = &set.comment {
            told["comment"] = json!(comment);
        }
        told
    });
    Answer::data(told.collect::<Vec<_>>())
}

fn add_set(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.needed("name").to_owned();
    let comment = call.parameters.text("comment").map(str::to_owned);
    let old = call.parameters.text("rename").map(str::to_owned);
    let sets = &mut of_mut(call)?.sets;
    if let Some(old) = old {
        let mut set = sets
            .remove(&old)
            .ok_or(format!("IPSet '{old}' does not exist"))?;
        if comment.is_some() {
            set.comment = comment;
        }
        sets.insert(name, set);
        return Answer::done();
    }
    if sets.contains_key(&name) {
        return Err(format!("IPSet '{name}' already exists").into());
    }
    sets.insert(
        name,
        Set {
            comment,
            members: BTreeMap::new(),
        },
    );
    Answer::done()
}

fn set(call: &Call<'_>) -> Result<Set, Failure> {
    let name = call.parameters.needed("name");
    of(call)?
        .sets
        .remove(name)
        .ok_or_else(|| format!("no such IPSet '{name}'").into())
}

fn set_mut<'a>(call: &'a mut Call<'_>) -> Result<&'a mut Set, Failure> {
    let name = call.parameters.needed("name").to_owned();
    of_mut(call)?
        .sets
        .get_mut(&name)
        .ok_or_else(|| format!("no such IPSet '{name}'").into())
}

fn members(call: &mut Call<'_>) -> Outcome {
    let set = set(call)?;
    let digest = firewall::digest(&set);
    let told = set.members.iter().map(|(cidr, settings)| {
        let mut told = told(settings);
        told.insert("cidr".into(), json!(cidr));
        told.insert("digest".into(), json!(digest));
        Value::Object(told)
    });
    Answer::data(told.collect::<Vec<_>>())
}

fn without_cidr(call: &Call<'_>) -> BTreeMap<String, String> {
    let mut settings = settings(call);
    settings.remove("cidr");
    settings
}

fn add_member(call: &mut Call<'_>) -> Outcome {
    let cidr = call.parameters.needed("cidr").to_owned();
    let settings = without_cidr(call);
    let set = set_mut(call)?;
    if set.members.contains_key(&cidr) {
        return Err(format!("address '{cidr}' already exists").into());
    }
    set.members.insert(cidr, settings);
    Answer::done()
}

fn member(call: &mut Call<'_>) -> Outcome {
    let set = set(call)?;
    let cidr = call.parameters.needed("cidr");
    let settings = set.members.get(cidr).ok_or("no such IP/Network")?;
    let mut told = told(settings);
    told.insert("cidr".into(), json!(cidr));
    told.insert("digest".into(), json!(firewall::digest(&set)));
    Answer::data(told)
}

fn change_member(call: &mut Call<'_>) -> Outcome {
    call.same_digest(&firewall::digest(&set(call)?), super::CHANGED)?;
    let cidr = call.parameters.needed("cidr").to_owned();
    let new = without_cidr(call);
    let member = set_mut(call)?
        .members
        .get_mut(&cidr)
        .ok_or("no such IP/Network")?;
    *member = new;
    Answer::done()
}

fn drop_member(call: &mut Call<'_>) -> Outcome {
    call.same_digest(&firewall::digest(&set(call)?), super::CHANGED)?;
    let cidr = call.parameters.needed("cidr").to_owned();
    set_mut(call)?.members.remove(&cidr);
    Answer::done()
}

fn drop_set(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.needed("name").to_owned();
    let forced = call.parameters.is_set("force");
    if !set(call)?.members.is_empty() && !forced {
        return Err(format!("IPSet '{name}' is not empty").into());
    }
    of_mut(call)?.sets.remove(&name);
    Answer::done()
}

fn alias_told(name: &str, settings: &BTreeMap<String, String>) -> Map<String, Value> {
    let mut told = told(settings);
    told.insert("name".into(), json!(name));
    let is_six = settings.get("cidr").is_some_and(|cidr| cidr.contains(':'));
    told.insert("ipversion".into(), json!(if is_six { 6 } else { 4 }));
    told
}

fn aliases(call: &mut Call<'_>) -> Outcome {
    let aliases = of(call)?.aliases;
    let digest = firewall::digest(&aliases);
    let told = aliases.iter().map(|(name, settings)| {
        let mut told = alias_told(name, settings);
        told.insert("digest".into(), json!(digest));
        Value::Object(told)
    });
    Answer::data(told.collect::<Vec<_>>())
}

fn alias(call: &mut Call<'_>) -> Outcome {
    let aliases = of(call)?.aliases;
    let name = call.parameters.needed("name");
    let settings = aliases.get(name).ok_or(format!("no such alias '{name}'"))?;
    let mut told = alias_told(name, settings);
    told.insert("digest".into(), json!(firewall::digest(&aliases)));
    Answer::data(told)
}

fn add_alias(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.needed("name").to_ascii_lowercase();
    let settings = settings(call);
    let aliases = &mut of_mut(call)?.aliases;
    if aliases.contains_key(&name) {
        return Err(format!("alias '{name}' already exists").into());
    }
    aliases.insert(name, settings);
    Answer::done()
}

fn change_alias(call: &mut Call<'_>) -> Outcome {
    call.same_digest(&firewall::digest(&of(call)?.aliases), super::CHANGED)?;
    let name = call.parameters.needed("name").to_ascii_lowercase();
    let to = call.parameters.text("rename").map(str::to_ascii_lowercase);
    let settings = settings(call);
    let aliases = &mut of_mut(call)?.aliases;
    if aliases.remove(&name).is_none() {
        return Err(format!("no such alias '{name}'").into());
    }
    aliases.insert(to.unwrap_or(name), settings);
    Answer::done()
}

fn drop_alias(call: &mut Call<'_>) -> Outcome {
    call.same_digest(&firewall::digest(&of(call)?.aliases), super::CHANGED)?;
    let name = call.parameters.needed("name").to_ascii_lowercase();
    of_mut(call)?.aliases.remove(&name);
    Answer::done()
}
