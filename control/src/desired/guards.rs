//! What is never banned, whatever its origin.

use palisade_config::types::Prefix;

/// The guarded prefixes, none inside another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    /// Sorted; disjoint, so that their order by first and by last address is the same.
    prefixes: Vec<Prefix>,
}

impl Guards {
    pub fn new(prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        let mut sorted: Vec<Prefix> = prefixes.into_iter().collect();
        sorted.sort_unstable();
        let mut kept: Vec<Prefix> = Vec::with_capacity(sorted.len());
        for prefix in sorted {
            // A prefix sorts before those inside it, so its holder, if any, was kept last.
            if !kept.last().is_some_and(|last| last.contains(&prefix)) {
                kept.push(prefix);
            }
        }
        Self { prefixes: kept }
    }

    /// The guard that holds all of `prefix`.
    pub fn holding(&self, prefix: &Prefix) -> Option<Prefix> {
        let after = self.prefixes.partition_point(|guard| guard <= prefix);
        let before = self.prefixes.get(after.checked_sub(1)?)?;
        before.contains(prefix).then_some(*before)
    }

    /// The guards inside `prefix`, itself excluded, in order.
    pub fn inside(&self, prefix: &Prefix) -> impl Iterator<Item = Prefix> + use<'_> {
        let prefix = *prefix;
        let first = self.prefixes.partition_point(move |guard| *guard <= prefix);
        self.prefixes
            .iter()
            .skip(first)
            .take_while(move |guard| prefix.contains(guard))
            .copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = Prefix> + use<'_> {
        self.prefixes.iter().copied()
    }

    /// Whether `prefix` is one of the guards.
    pub fn is_guard(&self, prefix: &Prefix) -> bool {
        self.prefixes.binary_search(prefix).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use palisade_config::types::Prefix;

    use super::Guards;

    fn prefixes(texts: &[&str]) -> Vec<Prefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn guards_hold_and_lie_inside() {
        let guards = Guards::new(prefixes(&[
            "10.0.0.0/8",
            "10.1.0.0/16",
            "192.0.2.0/24",
            "198.51.100.7",
            "2001:db8::/32",
        ]));
        #[rustfmt::skip]
        let cases: [(&str, Option<&str>, &[&str]); 9] = [
            ("10.0.0.0/8",       Some("10.0.0.0/8"),    &[]),
            ("10.1.2.3",         Some("10.0.0.0/8"),    &[]),
            ("10.255.255.255",   Some("10.0.0.0/8"),    &[]),
            ("11.0.0.0/8",       None,                  &[]),
            ("0.0.0.0/0",        None,                  &["10.0.0.0/8", "192.0.2.0/24", "198.51.100.7"]),
            ("192.0.0.0/16",     None,                  &["192.0.2.0/24"]),
            ("192.0.2.128/25",   Some("192.0.2.0/24"),  &[]),
            ("2001:db8::1",      Some("2001:db8::/32"), &[]),
            ("2001::/16",        None,                  &["2001:db8::/32"]),
        ];
        for (text, holding, inside) in cases {
            let prefix = text.parse().unwrap();
            let want = holding.map(|guard| guard.parse().unwrap());
            assert_eq!(guards.holding(&prefix), want, "{text}");
            assert_eq!(
                guards.inside(&prefix).collect::<Vec<_>>(),
                prefixes(inside),
                "{text}"
            );
        }
    }
}
