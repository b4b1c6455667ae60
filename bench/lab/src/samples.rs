//! What a metrics endpoint said, as numbers.

/// The samples of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    samples: Vec<Sample>,
}

#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Samples {
    /// Reads the Prometheus text format. Lines that are none of it are left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self {
            samples: text.lines().filter_map(parse_line).collect(),
        }
    }

    /// The sum over all samples of `name` that have all of `labels`.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(key, value)| {
                    sample
                        .labels
                        .iter()
                        .any(|(own_key, own)| own_key == key && own == value)
                })
        };
        self.samples
            .iter()
            .filter(fits)
            .map(|sample| sample.value)
            .sum()
    }

    /// Packets counted under `labels`.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counters are whole, positive and far below 2^53"
    )]
    pub fn packets(&self, labels: &[(&str, &str)]) -> u64 {
        self.sum("palisade_packets_total", labels) as u64
    }
}

fn parse_line(line: &str) -> Option<Sample> {
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.trim_end().rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, parse_labels(rest.strip_suffix('}')?)?),
        None => (series, Vec::new()),
    };
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().ok()?,
    })
}

/// Our label values hold neither quotes nor commas.
fn parse_labels(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split(',').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some((key.to_owned(), value.trim_matches('"').to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Samples;

    #[test]
    fn samples_are_summed_by_name_and_label() {
        let samples = Samples::parse(
            "# HELP a_total x\n# TYPE a_total counter\n\
             a_total{verdict=\"drop\",reason=\"banned\"} 3\n\
             a_total{verdict=\"drop\",reason=\"malformed\"} 4\n\
             a_total{verdict=\"pass\",reason=\"reply\"} 5\n\
             b 1.5\n",
        );
        type Labels = &'static [(&'static str, &'static str)];
        let cases: [(&str, Labels, f64); 5] = [
            ("a_total", &[], 12.0),
            ("a_total", &[("verdict", "drop")], 7.0),
            ("a_total", &[("verdict", "drop"), ("reason", "banned")], 3.0),
            ("b", &[], 1.5),
            ("c", &[], 0.0),
        ];
        for (name, labels, want) in cases {
            let got = samples.sum(name, labels);
            assert!(
                (got - want).abs() < f64::EPSILON,
                "{name} {labels:?}: {got}"
            );
        }
    }
}
