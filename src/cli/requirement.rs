//! `required_version` of the `stack` block: constraints in Terraform's form, such as `>= 0.1, < 2.0` or `~> 0.3`.

/// Whether a version meets all constraints. `None` if they can't be understood.
#[must_use]
pub(crate) fn is_met(constraints: &str, version: &str) -> Option<bool> {
    let version = parts(version)?;
    let mut all = true;
    for constraint in constraints.split(',') {
        let constraint = constraint.trim();
        let split = constraint.find(|c: char| c.is_ascii_digit())?;
        let (operator, wanted) = constraint.split_at(split);
        let wanted_parts = parts(wanted)?;
        let order = compare(&version, &wanted_parts);
        all &= match operator.trim() {
            "" | "=" => order.is_eq(),
            "!=" => order.is_ne(),
            ">" => order.is_gt(),
            ">=" => order.is_ge(),
            "<" => order.is_lt(),
            "<=" => order.is_le(),
            // All but the last given part must agree.
            "~>" => {
                order.is_ge()
                    && version
                        .iter()
                        .zip(&wanted_parts[..wanted_parts.len() - 1])
                        .all(|(a, b)| a == b)
            }
            _ => return None,
        };
    }
    Some(all)
}

fn parts(version: &str) -> Option<Vec<u64>> {
    let numbers = version.trim().split(['-', '+']).next()?;
    numbers
        .split('.')
        .map(|part| part.trim().parse().ok())
        .collect()
}

fn compare(one: &[u64], two: &[u64]) -> std::cmp::Ordering {
    let at = |parts: &[u64], index: usize| parts.get(index).copied().unwrap_or(0);
    let length = one.len().max(two.len());
    let orders = (0..length).map(|index| at(one, index).cmp(&at(two, index)));
    orders
        .into_iter()
        .find(|order| order.is_ne())
        .unwrap_or(std::cmp::Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::is_met;

    #[test]
    fn constraints_are_those_of_terraform() {
        assert_eq!(is_met(">= 0.1, < 2.0", "0.1.0"), Some(true));
        assert_eq!(is_met("~> 0.1", "0.9.3"), Some(true));
        assert_eq!(is_met("~> 0.1.2", "0.2.0"), Some(false));
        assert_eq!(is_met("= 1.0.0", "1.0"), Some(true));
        assert_eq!(is_met("about 1", "1.0.0"), None);
    }
}
