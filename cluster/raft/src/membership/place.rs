//! Whether a node can be a member with this name and address.

use super::commit::members;
use crate::errors::StartError;
use crate::options::{check_address, check_name};
use crate::replica::core::Core;
use crate::types::Member;

/// Further members are learners. More votes would slow every write for failures that do not happen.
pub(crate) const MAX_VOTERS: usize = 5;
/// Far more than a cluster needs; callers of the port cannot fill the memory.
const MAX_MEMBERS: usize = 64;

/// Whether none of these other members has the name. The error says who has it.
pub(crate) fn name_is_free<'a>(
    others: impl IntoIterator<Item = (&'a u64, &'a Member)>,
    name: &str,
) -> Result<(), String> {
    match others.into_iter().find(|(_, known)| known.name == name) {
        Some((id, known)) => Err(format!(
            "the name {name} belongs to member {id} at {}: if its disk is lost, remove it first (acefleet remove {name}), else choose another \
             name",
            known.address
        )),
        None => Ok(()),
    }
}

/// Checks the place of a node, perhaps as the replacement of another. The error says why not.
pub(crate) fn check_place(
    core: &Core,
    id: u64,
    member: &Member,
    replaces: Option<u64>,
) -> Result<(), String> {
    let text = |error: StartError| error.to_string();
    check_name("name of the member", &member.name).map_err(text)?;
    check_address("address of the member", &member.address).map_err(text)?;
    if id == 0 {
        return Err(format!("{} has no id", member.name));
    }
    let (nodes, _) = members(core);
    if let Some(old) = replaces.and_then(|old| nodes.get(&old)).filter(|old| old.name != member.name) {
        return Err(format!("{} cannot take the place of {}: names do not change", member.name, old.name));
    }
    let others = || nodes.iter().filter(|(other, _)| **other != id && Some(**other) != replaces);
    name_is_free(others(), &member.name)?;
    if let Some((_, known)) = others().find(|(_, known)| known.address == member.address) {
        return Err(format!("the address {} belongs to member {}", member.address, known.name));
    }
    match nodes.get(&id) {
        Some(known) if known.name != member.name => {
            Err(format!("member {id} is named {}; names do not change", known.name))
        }
        None if nodes.len() >= MAX_MEMBERS => {
            Err(format!("the cluster has {} members, and no more are taken in", nodes.len()))
        }
        Some(_) | None => Ok(()),
    }
}
