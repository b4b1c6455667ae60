//! The result table: medians, spread and ratios, with what produced them.

use std::{fmt::Write as _, fs, process::Command};

use anyhow::{Context, Result};

/// Times of one case, one entry a round, in nanoseconds for each packet.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// Index of the series that this one is compared with.
    pub(crate) baseline: Option<usize>,
    pub(crate) times: Vec<f64>,
}

/// Median, and the tenth and ninetieth percentile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |percent: usize| sorted.get((last * percent + 50) / 100).copied();
        Some(Self {
            median: at(50)?,
            low: at(10)?,
            high: at(90)?,
        })
    }
}

/// The table as Markdown.
pub(crate) fn markdown(series: &[Series], settings: &str) -> Result<String> {
    let mut text = String::from("# Packet rate\n\n");
    writeln!(text, "{}\n", machine()?)?;
    writeln!(text, "Command: `make bench` ({settings})\n")?;
    text.push_str(
        "CPU time on one core for each packet, generator and receiver together; rounds interleaved.\n\
         Median, tenth and ninetieth percentile over the rounds. The ratio is the packet rate against\n\
         the baseline of the same round (above 1 is faster than the baseline). The worker's row is wall\n\
         time for each packet that it has judged, while the generator floods it.\n\n\
         | case | ns/packet | 10-90 % | Mpps | ratio | 10-90 % | baseline |\n\
         |---|--:|--:|--:|--:|--:|---|\n",
    );
    for entry in series {
        let Some(time) = Spread::of(entry.times.iter().copied()) else {
            continue;
        };
        let baseline = entry.baseline.and_then(|index| series.get(index));
        let ratio = baseline.and_then(|baseline| {
            Spread::of(
                baseline
                    .times
                    .iter()
                    .zip(&entry.times)
                    .map(|(base, own)| base / own),
            )
        });
        let (ratio_median, ratio_spread) = ratio.map_or_else(Default::default, |ratio| {
            (
                format!("{:.2}", ratio.median),
                format!("{:.2}-{:.2}", ratio.low, ratio.high),
            )
        });
        writeln!(
            text,
            "| {} | {:.1} | {:.1}-{:.1} | {:.2} | {ratio_median} | {ratio_spread} | {} |",
            entry.name,
            time.median,
            time.low,
            time.high,
            1000.0 / time.median,
            baseline.map_or("", |baseline| &baseline.name),
        )?;
    }
    Ok(text)
}

/// Machine, kernel, commit and date in one line.
fn machine() -> Result<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("reading /proc/cpuinfo")?;
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let cpus = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("reading osrelease")?;
    Ok(format!(
        "{model}, {cpus} CPUs, Linux {}, commit {}, {}",
        kernel.trim(),
        first_line(
            "git",
            &["describe", "--always", "--dirty", "--exclude", "*"]
        ),
        first_line("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
    ))
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .and_then(|text| text.lines().next().map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Series, Spread, markdown};

    #[test]
    fn the_median_is_not_moved_by_an_outlier() {
        let spread = Spread::of([3.0, 1.0, 2.0, 100.0, 2.5]).expect("values");
        assert_eq!(
            spread,
            Spread {
                median: 2.5,
                low: 1.0,
                high: 100.0
            }
        );
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_compare_rounds_pair_by_pair() {
        let series = [
            Series {
                name: "base".into(),
                baseline: None,
                times: vec![10.0, 20.0, 10.0],
            },
            Series {
                name: "ours".into(),
                baseline: Some(0),
                times: vec![20.0, 40.0, 20.0],
            },
        ];
        let text = markdown(&series, "test").expect("a table");
        assert!(
            text.contains("| ours | 20.0 | 20.0-40.0 | 50.00 | 0.50 | 0.50-0.50 | base |"),
            "{text}"
        );
    }
}
